"""The reference's functions about its environment: devices, packages, loggers, files."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from minembed.errors import SourceError
from minembed.sentence_transformers.refusals import HUB, TRAINING, refused

NETWORK = "minembed downloads only checkpoints; urllib.request.urlretrieve(url, path) downloads a file"
FILES = "huggingface_hub.hf_hub_download and snapshot_download fetch files of the Hub"
BY_NAME = "minembed imports nothing because a file names it"

all_gather = refused("all_gather", TRAINING)
all_gather_padded = refused("all_gather_padded", TRAINING)
all_gather_with_grad = refused("all_gather_with_grad", TRAINING)
append_to_last_row = refused("append_to_last_row", TRAINING)
check_teacher_targets = refused("check_teacher_targets", TRAINING)
check_version_requirements = refused("check_version_requirements", "minembed reads no version requirements of models")
disable_datasets_caching = refused("disable_datasets_caching", "datasets.disable_caching() does it")
disabled_tqdm = refused("disabled_tqdm", "tqdm(..., disable=True) does it")
http_get = refused("http_get", NETWORK)
import_from_string = refused("import_from_string", BY_NAME)
import_module_class = refused("import_module_class", BY_NAME)
install_logger = refused("install_logger", "coloredlogs.install(logger=...) does it")
load_dir_path = refused("load_dir_path", FILES)
load_file_path = refused("load_file_path", FILES)
mine_hard_negatives = refused(
    "mine_hard_negatives",
    "find them with semantic_search(model.encode_query(anchors), model.encode_document(corpus)), and leave out those "
    "that score nearly as high as the positive",
)
resolve_ids = refused("resolve_ids", TRAINING)
save_to_hub_args_decorator = refused("save_to_hub_args_decorator", HUB)
similarity_fct_name = refused("similarity_fct_name", TRAINING)


def get_device_name() -> str:
    """The device that models are loaded on.

    >>> get_device_name()
    'cpu'
    """
    return "cpu"


def get_rank() -> int:
    """The number of this process among those that compute together: always 0.

    >>> get_rank()
    0
    """
    return 0


def get_world_size() -> int:
    """The number of processes that compute together: always 1.

    >>> get_world_size()
    1
    """
    return 1


def is_dist_initialized() -> bool:
    """Whether processes compute together: never.

    >>> is_dist_initialized()
    False
    """
    return False


def check_package_availability(package_name: str, owner: str) -> bool:
    """Whether a package is installed, and its home page belongs to this owner.

    >>> check_package_availability("no-such-package", "nobody")
    False
    """
    try:
        found = metadata(package_name)
    except PackageNotFoundError:
        return False
    home = found["Home-page"]
    return found["Name"] == package_name and home is not None and owner in home


def is_accelerate_available() -> bool:
    """Whether accelerate is installed.

    >>> isinstance(is_accelerate_available(), bool)
    True
    """
    return check_package_availability("accelerate", "huggingface")


def is_datasets_available() -> bool:
    """Whether datasets is installed.

    >>> isinstance(is_datasets_available(), bool)
    True
    """
    return check_package_availability("datasets", "huggingface")


def is_training_available() -> bool:
    """Whether models can be trained through this interface: never; `minembed.train` trains.

    >>> is_training_available()
    False
    """
    return False


def is_sentence_transformer_model(
    model_name_or_path: str,
    token: bool | str | None = None,
    cache_folder: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> bool:
    """Whether a model has a modules.json; downloads the model if it is not on this machine.

    False if there is no such model, or if the download fails.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     is_sentence_transformer_model(folder)
    False
    """
    from minembed.sentence_transformers.settings import folder_of
    from minembed.weights.sources.locate import locate

    try:
        name = folder_of(model_name_or_path, cache_folder, revision, local_files_only, token)
        found = locate(name, revision=revision, local_files_only=local_files_only, token=token)
    except SourceError:
        return False
    return (Path(found.folder) / "modules.json").is_file()


def fullname(obj: Any) -> str:
    """The name of a class, or of an object's class, with its module.

    >>> fullname(Path), fullname(3)
    ('pathlib.Path', 'int')
    """
    kind = obj if isinstance(obj, type) else type(obj)
    return kind.__name__ if kind.__module__ in (None, "builtins") else f"{kind.__module__}.{kind.__name__}"


@contextmanager
def disable_logging(highest_level: int = logging.CRITICAL) -> Iterator[None]:
    """Silence loggers up to a level, within a with-block.

    >>> with disable_logging():
    ...     logging.getLogger("minembed").error("nobody sees it")
    """
    before = logging.root.manager.disable
    logging.disable(highest_level)
    try:
        yield
    finally:
        logging.disable(before)


class LoggingHandler(logging.Handler):
    """A handler that writes above progress bars instead of through them."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record))
            self.flush()
        except Exception:  # as other handlers do: a log line must not stop the program
            self.handleError(record)
