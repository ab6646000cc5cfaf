"""The page on a user's own files shows what the commands say of a messy folder."""

import importlib.util

import pytest
from places import ROOT

spec = importlib.util.spec_from_file_location("messy_folder", ROOT / "docs" / "messy_folder.py")
messy_folder = importlib.util.module_from_spec(spec)
spec.loader.exec_module(messy_folder)


def test_every_command_is_on_the_page():
    page = messy_folder.PAGE.read_text(encoding="utf-8")
    for words, command in messy_folder.STEPS:
        assert words in page and (not command or f"$ minembed {command}\n" in page)


@pytest.mark.weights
@pytest.mark.slow
def test_the_commands_say_what_is_on_the_page():
    page = messy_folder.PAGE.read_text(encoding="utf-8")
    assert messy_folder.written(page, messy_folder.transcript()) == page
