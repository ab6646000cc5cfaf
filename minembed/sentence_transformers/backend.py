"""Exports of the reference: refused by name."""

from minembed.sentence_transformers.refusals import EXPORT, stand_ins

NAMES = dict.fromkeys(
    (
        *("backend_should_export", "backend_warn_to_save", "export_dynamic_quantized_onnx_model"),
        *("export_optimized_onnx_model", "export_static_quantized_openvino_model", "load_onnx_model"),
        *("load_openvino_model", "save_or_push_to_hub_model"),
    ),
    EXPORT,
)

__all__ = sorted(NAMES)
__getattr__ = stand_ins(__name__, NAMES)
