"""The command `minembed serve`: what it makes of its options and of the environment, and what it refuses."""

import pytest
from command import run

from minembed.serve import server


@pytest.fixture
def settings_of(monkeypatch):
    """A function of options to the settings that the command would run with, and what it says."""
    kept = []
    monkeypatch.setattr(server, "run", lambda settings, ready: kept.append(settings))

    def start(*options):
        _, said = run("serve", "tiny", *options)
        return kept.pop(), said

    return start


def refused(*options):
    """What is said of options that are a usage error."""
    _, said = run("serve", "tiny", *options, code=2)
    return " ".join(said.split())


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_the_port_that_kubernetes_writes_for_a_service_is_ignored_with_a_word(scheme, settings_of, monkeypatch):
    link = f"{scheme}://10.0.0.1:8080"
    monkeypatch.setenv("MINEMBED_PORT", link)
    settings, said = settings_of()
    assert settings.port == 8080 and said.count("\n") == 1
    assert f"MINEMBED_PORT={link} is ignored: Kubernetes writes it" in said
    settings, said = settings_of("--port", "9000")
    assert settings.port == 9000 and not said
    monkeypatch.setenv("MINEMBED_PORT", "9001")
    settings, said = settings_of()
    assert settings.port == 9001 and not said


@pytest.mark.parametrize(
    ("variable", "value", "option"),
    [
        ("MINEMBED_PORT", "abc", "--port"),
        ("MINEMBED_PORT", "http://10.0.0.1", "--port"),
        ("MINEMBED_MAX_BODY", "tcp://10.0.0.1", "--max-body"),
        ("MINEMBED_BACKEND", "cuda", "--backend"),
        ("MINEMBED_OFFLINE", "perhaps", "--offline"),
        ("MINEMBED_API_KEY_FILE", "no/such/file", "--api-key-file"),
    ],
)
def test_an_error_of_a_setting_names_the_variable_that_it_came_from(variable, value, option, monkeypatch):
    monkeypatch.setenv(variable, value)
    assert f"Invalid value for {variable} (environment variable for '{option}')" in refused()


def test_an_error_of_an_option_does_not_name_a_variable():
    assert "Invalid value for '--port'" in refused("--port", "abc")


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (b"\xef\xbb\xbffirst\r\nsecond\r\n", ("first", "second")),
        (b"\xef\xbb\xbf# a comment\nfirst", ("first",)),
        ("# a comment\u200b\n\n  first \nsecond-\u00fc\n".encode(), ("first", "second-\u00fc")),
    ],
)
def test_keys(content, keys, settings_of, tmp_path):
    (tmp_path / "keys").write_bytes(content)
    settings, _ = settings_of("--api-key-file", tmp_path / "keys")
    assert settings.api_keys == keys


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("secret".encode("utf-16"), "is not UTF-8"),
        (b"secret\xff", "is not UTF-8"),
        ("secret".encode("utf-16-le"), "line 1"),
        (b"first\nsec\x00ret\n", "line 2"),
        (b"first\n\nsec\x0bret\n", "line 3"),
        (b"sec\rret\n", "line 1"),
        ("first\n\ufeffsecret\n".encode(), "line 2"),  # two files in one
        (b"", "holds no key"),
        (b"\xef\xbb\xbf# none\n\n", "holds no key"),
    ],
)
def test_keys_that_no_client_can_send(content, said, tmp_path, monkeypatch):
    (tmp_path / "keys").write_bytes(content)
    told = refused("--api-key-file", tmp_path / "keys")
    assert said in told and "Invalid value for '--api-key-file'" in told and "sec" not in told
    monkeypatch.setenv("MINEMBED_API_KEY_FILE", str(tmp_path / "keys"))
    assert said in (told := refused()) and "Invalid value for MINEMBED_API_KEY_FILE" in told
