"""The command `minembed serve`: what it makes of its options and of the environment, and what it refuses."""

import pytest
from command import run

from minembed.errors import InputError
from minembed.serve import server
from minembed.serve.settings import Settings


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """The settings with which a server would have run; none runs."""
    settings_of_servers = []
    monkeypatch.setattr(server, "run", lambda settings, ready: settings_of_servers.append(settings))
    return settings_of_servers


@pytest.fixture
def settings_of(kept):
    """A function of options to the settings that the command would run with, and what it says."""

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


HOSTS = [
    "vectors.example.org:8310",
    "https://v2.example.org",
    "a/b",
    "*.example.org",
    "a,b",
    "",
    "a b",
    "bücher.example",
]
HOSTS += ["[::1]:80", "[a", "user@a", "[12:99]", "fe80::1%eth0", "[name]"]
ORIGINS = ["v2.example.org", "https://v2.example.org/path", "https://", "https://*.example.org", "https://a:b"]
ORIGINS += [
    "https://user@a",
    "https://a:0",
    "https://a:65536",
    "https://a,https://b",
    "file:///x",
    "",
    "NULL",
    "https://a?b",
]
ORIGINS += ["https://bücher.example", "https://a//", "http://[12:99]", "http://::1"]
NEVER = [("--allowed-host", value) for value in HOSTS] + [("--allowed-origin", value) for value in ORIGINS]


@pytest.mark.parametrize(("option", "value"), NEVER)
def test_a_host_or_an_origin_that_no_request_has_is_refused(option, value, monkeypatch):
    told = refused(option, value)
    assert f"Invalid value for '{option}': {option} takes" in told and f"not {value!r}" in told
    assert ("xn--" in told) is not value.isascii()
    with pytest.raises(InputError, match=f"{option} takes"):
        Settings(models=("m",), **{option[2:].replace("-", "_") + "s": (value,)})
    if value and " " not in value:
        variable = "MINEMBED_" + option[2:].replace("-", "_").upper()
        monkeypatch.setenv(variable, f"{value} {value}")
        assert f"Invalid value for {variable}" in refused()


@pytest.mark.parametrize("origin", ["*", "null"])
def test_any_origin_needs_a_key_or_an_explicit_word(origin, settings_of, tmp_path):
    _, told = run("serve", "tiny", "--allowed-origin", origin, code=1)
    assert f"--allowed-origin {origin} lets any page" in told and "--api-key-file" in told
    (tmp_path / "keys").write_text("key")
    for option in (["--api-key-file", tmp_path / "keys"], ["--insecure-no-auth"]):
        settings, _ = settings_of("--allowed-origin", origin, *option)
        assert settings.allowed_origins == (origin,)


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "NaN", "-1", "1e300", "86401", "soon"])
def test_a_grace_without_an_end(value):
    assert "Invalid value for '--grace'" in refused("--grace", value)
    if value != "soon":
        with pytest.raises(InputError, match="grace must be from 0 to 86400 seconds"):
            Settings(models=("m",), grace=float(value))


@pytest.mark.parametrize("threads", [0, 1025, 100_000])
def test_more_threads_than_any_machine_needs(threads):
    assert "Invalid value for '--threads'" in refused("--threads", threads)
    with pytest.raises(InputError, match="threads must be a whole number from 1 to 1024"):
        Settings(models=("m",), threads=threads)
