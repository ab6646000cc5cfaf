"""Functions of tensors and arrays, under the reference's names."""

from typing import Any

from minembed.sentence_transformers.refusals import MULTI_VECTOR, SPARSE, refused
from minembed.sentence_transformers.tensors import as_array, check_device, tensor
from minembed.sentence_transformers.util.similarity import matrix, sim_unit

cat_padded_token_embeddings = refused("cat_padded_token_embeddings", MULTI_VECTOR)
compute_count_vector = refused("compute_count_vector", SPARSE)
repad_flattened_features = refused("repad_flattened_features", MULTI_VECTOR)
select_max_active_dims = refused("select_max_active_dims", SPARSE)
stack_padded_token_embeddings = refused("stack_padded_token_embeddings", MULTI_VECTOR)
to_scipy_coo = refused("to_scipy_coo", SPARSE)


def normalize_embeddings(embeddings: Any) -> Any:  # (N, D) or (D,) -> the same shape
    """Scale vectors to length 1; zeros stay zeros.

    >>> normalize_embeddings([[3.0, 4.0]]).tolist() == [[0.6000000238418579, 0.800000011920929]]
    True
    """
    return tensor(sim_unit(as_array(embeddings)))


def truncate_embeddings(embeddings: Any, truncate_dim: int | None) -> Any:  # (..., D) -> (..., truncate_dim)
    """Keep the first numbers of each vector, or all of them for None; the result has the type of the input.

    >>> import numpy as np
    >>> truncate_embeddings(np.ones((2, 5)), 3).shape
    (2, 3)
    """
    return embeddings[..., :truncate_dim]


def batch_to_device(batch: dict[str, Any], target_device: Any) -> dict[str, Any]:
    """Return the batch unchanged; raises InputError for a device other than the CPU.

    >>> batch_to_device({"input_ids": [1]}, "cpu")
    {'input_ids': [1]}
    """
    check_device(target_device)
    return batch


def _convert_to_tensor(a: Any) -> Any:
    return tensor(a)


def _convert_to_batch(a: Any) -> Any:
    return a[None] if a.ndim == 1 else a


def _convert_to_batch_tensor(a: Any) -> Any:
    return tensor(matrix(a))


def _move_tensors_to_cpu(value: Any) -> Any:
    return value
