"""Downloads: what arrives is the pinned file, or nothing does and the message says why."""

import hashlib
import io
import socket
import sys

import pytest
from loopback import Answer, serving

from relax.data.downloads import Transport, fetch
from relax.data.pins import check_pin, digest
from relax.errors import DataError
from relax.runs.progress import BYTES, Progress

CONTENT = bytes(range(256)) * 2000
OTHER = CONTENT[:-1] + b"x"
PIN = {"sha256": hashlib.sha256(CONTENT).hexdigest()}
# A good answer is waited for however busy the machine is: how often it is asked for is exact.
PATIENT = Transport(connect_timeout=60, read_timeout=60, attempts=3, pause=0)
# For answers that stall: it may give up a good one as well, which costs another attempt.
HASTY = Transport(connect_timeout=60, read_timeout=0.5, attempts=3, pause=0)

GOOD = Answer(CONTENT)
TRUNCATED = Answer(CONTENT[:100_000], length=len(CONTENT))
STALLED = Answer(CONTENT[:100_000], length=len(CONTENT), stall=True)
SILENT = Answer(length=len(CONTENT), stall=True)
BUSY = Answer(b"busy", status=500)


@pytest.mark.parametrize(
    "answers",
    [
        [GOOD],
        [Answer(CONTENT, length="none")],
        [BUSY, GOOD],
        [Answer(status=429), BUSY, GOOD],
        [TRUNCATED, GOOD],
        [Answer(status=302, headers={"Location": "/moved"}), GOOD],
    ],
    ids=["good", "no length", "500 once", "429, 500", "truncated once", "moved"],
)
def test_the_file_arrives(tmp_path, answers):
    """At once or after failures that pass; whole, with nothing else beside it."""
    path, log = tmp_path / "new" / "file.bin", io.StringIO()
    with serving(*answers) as server:
        fetch({"url": server.url("file.bin"), **PIN}, path, log=log, transport=PATIENT)
        assert len(server.requests) == len(answers)
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]
    assert f"from {server.url('file.bin')}" in log.getvalue()
    assert "file.bin: 0.51 of " in log.getvalue()
    assert log.getvalue().count("attempt ") == sum(a in (BUSY, TRUNCATED) for a in answers) + sum(
        a.status == 429 for a in answers
    )


def test_the_file_arrives_after_an_answer_that_stalled(tmp_path):
    path, log = tmp_path / "file.bin", io.StringIO()
    many = Transport(connect_timeout=60, read_timeout=0.5, attempts=100, pause=0)
    with serving(STALLED, GOOD) as server:
        fetch({"url": server.url("file.bin"), **PIN}, path, log=log, transport=many)
    assert path.read_bytes() == CONTENT
    assert "attempt 1 of 100 failed: " in log.getvalue()
    assert "Read timed out" in log.getvalue()


FAILURES = {  # the answer, how often it is asked for, what is said
    "corrupt": (Answer(OTHER), 1, rf"is not the pinned file: .*\(512000 bytes\).*{PIN['sha256']}"),
    "empty": (Answer(b""), 1, r"is not the pinned file: its sha256 is e3b0c.*\(0 bytes\)"),
    "cut, no length": (Answer(CONTENT[:-9], length="none"), 1, r"is not the pinned file.*\(511991"),
    "truncated": (TRUNCATED, 3, "cannot be downloaded from .*the transfer broke off"),
    "missing": (Answer(b"no", status=404), 1, "the server answers 404 Not Found. Check the"),
    "broken": (BUSY, 3, "the server answers 500 Internal Server Error.*data.mirror"),
    "stalled": (STALLED, 3, r"Read timed out"),
    "silent": (SILENT, 3, r"Read timed out"),
    "circle": (Answer(status=302, headers={"Location": "/file.bin"}), 31, "redirects"),
}


@pytest.mark.parametrize("earlier", [b"an earlier good copy", None], ids=["earlier", "none"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_named_and_leaves_no_part(tmp_path, failure, earlier):
    """The message has file, address, reason and remedy; an earlier copy stays as it was."""
    answer, requests, reason = FAILURES[failure]
    path, log = tmp_path / "file.bin", io.StringIO()
    if earlier:
        path.write_bytes(earlier)
    with serving(answer) as server:
        transport = HASTY if answer.stall else PATIENT
        with pytest.raises(DataError, match=reason) as error:
            fetch({"url": server.url("file.bin"), **PIN}, path, log=log, transport=transport)
        if answer.stall:  # the server may hear of the last attempt when it is given up
            assert f"attempt {requests} of {requests} failed" in log.getvalue()
        else:
            assert len(server.requests) == requests
    assert server.url("file.bin") in str(error.value)
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == (["file.bin"] if earlier else [])
    assert not earlier or path.read_bytes() == earlier


def closed_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def test_a_refused_connection_is_named(tmp_path):
    url, log = f"http://127.0.0.1:{closed_port()}/file.bin", io.StringIO()
    with pytest.raises(DataError, match=r"file\.bin cannot be .*: .*Connection refused\. Check"):
        fetch({"url": url, **PIN}, tmp_path / "file.bin", log=log, transport=PATIENT)
    assert "attempt 3 of 3 failed" in log.getvalue()
    assert not list(tmp_path.iterdir())


def test_a_name_that_does_not_exist_is_named(tmp_path):
    """As with no network at all. `.invalid` is reserved for this."""
    with pytest.raises(DataError, match=r"data\.invalid.*data\.mirror"):
        fetch(
            {"url": "http://data.invalid/file.bin", **PIN}, tmp_path / "file.bin", transport=PATIENT
        )
    assert not list(tmp_path.iterdir())


def test_an_address_that_is_none_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be downloaded from http://"):
        fetch({"url": "http://", **PIN}, tmp_path / "file.bin", transport=PATIENT)


def test_a_pinned_file_that_is_there_is_not_asked_for_again(tmp_path):
    """Nor is it touched: no network is needed where the data is."""
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    before = path.stat()
    with serving(GOOD) as server:
        fetch({"url": server.url("file.bin"), **PIN}, path, transport=PATIENT)
        assert server.requests == []
    after = path.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_another_file_in_its_place_is_replaced(tmp_path):
    """The pin has changed: what is there is not what is wanted."""
    path = tmp_path / "file.bin"
    path.write_bytes(OTHER)
    with serving(GOOD) as server:
        fetch({"url": server.url("file.bin"), **PIN}, path, transport=PATIENT)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("relative", [True, False])
def test_the_mirror_is_searched_before_the_network(tmp_path, monkeypatch, relative):
    """By file name; a relative directory is one of the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "there.bin").write_bytes(CONTENT)
    mirror = "mirror" if relative else str(tmp_path / "mirror")
    with serving(GOOD) as server:
        for name, requests in (("there.bin", []), ("elsewhere.bin", ["/x.bin"])):
            fetch({"url": server.url("x.bin"), **PIN}, f"data/{name}", mirror, transport=PATIENT)
            assert (tmp_path / "data" / name).read_bytes() == CONTENT
            assert server.requests == requests


def test_the_mirrors_files_are_pinned_too(tmp_path):
    """A bad file in the mirror is an error that names it, not a reason to use the network."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "file.bin").write_bytes(OTHER)
    with serving(GOOD) as server:
        with pytest.raises(DataError, match=r"mirror/file\.bin is not the pinned file"):
            fetch({"url": server.url("f"), **PIN}, tmp_path / "file.bin", tmp_path / "mirror")
        assert server.requests == []
    assert not (tmp_path / "file.bin").exists()


def test_a_mirror_that_is_no_directory_is_named(tmp_path):
    with pytest.raises(DataError, match=r"data\.mirror: there is no directory 'nowhere'"):
        fetch({"url": "http://127.0.0.1:1/f", **PIN}, tmp_path / "file.bin", "nowhere")


def test_a_local_file_is_fetched_by_its_path(tmp_path):
    """No mirror and no network have a say."""
    (tmp_path / "mine.bin").write_bytes(CONTENT)
    fetch({"path": str(tmp_path / "mine.bin"), **PIN}, tmp_path / "data" / "file.bin", "nowhere")
    assert (tmp_path / "data" / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "there is no file '.*mine.bin'"), (OTHER, r"mine\.bin is not the pinned file")],
)
def test_a_bad_local_file_is_named(tmp_path, content, reason):
    if content:
        (tmp_path / "mine.bin").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        fetch({"path": str(tmp_path / "mine.bin"), **PIN}, tmp_path / "data" / "file.bin")
    assert not (tmp_path / "data" / "file.bin").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "mine.bin").write_bytes(CONTENT)
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"data/file\.bin could not be made"):
        fetch({"path": str(tmp_path / "mine.bin"), **PIN}, tmp_path / "data" / "file.bin")


def test_a_git_blob_id_is_gits_own(tmp_path):
    """`printf 'hello\\n' | git hash-object --stdin`, and the same of nothing."""
    path = tmp_path / "file"
    for content, name in (
        (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
    ):
        path.write_bytes(content)
        assert digest(path, "git_blob") == name
        check_pin(path, {"git_blob": name}, path)
        with pytest.raises(DataError, match=f"its git_blob is {name}.*the pin is 000"):
            check_pin(path, {"git_blob": "0" * 40}, path)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar_and_the_log_gets_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    log = io.StringIO()
    with Progress("file.bin", 4_000_000, log, counted=BYTES, every=0.0) as bar:
        for _ in range(4):
            bar.advance(1_000_000)
    assert "file.bin" in sys.stderr.getvalue()
    assert "%" in sys.stderr.getvalue()
    lines = log.getvalue().splitlines()
    assert "file.bin: 2.00 of 4.00 MB" in lines
    assert lines[-1] == "file.bin: 4.00 of 4.00 MB"
