"""What pyproject.toml cannot say: a wheel that holds compiled kernels (make native) is of this platform alone."""

import shutil
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

LIBRARIES = Path(__file__).with_name("kernels") / "native"


class Wheel(bdist_wheel):
    """A wheel of any platform without libraries, and of one with them; for every Python 3 either way."""

    def finalize_options(self) -> None:
        """Name the platform, unless --plat-name does."""
        if (LIBRARIES / "manifest.json").is_file() and not self.plat_name:
            self.plat_name = sysconfig.get_platform()
        super().finalize_options()

    def run(self) -> None:
        """Build; libraries that an earlier build has left in build/ would be packed without a word."""
        built = Path(self.get_finalized_command("build").build_lib)
        shutil.rmtree(built / "minembed" / "kernels" / "native", ignore_errors=True)
        super().run()


setup(cmdclass={"bdist_wheel": Wheel})
