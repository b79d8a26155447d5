"""Damaged and hostile files are told apart from whole ones, and harm nothing."""

import itertools
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import psutil
import pytest

from tests.support.videos import collect, make_video
from varkit.errors import MediaError, VarkitError
from varkit.media.chunks import Pictures, View
from varkit.media.decode import Decoder
from varkit.media.limits import Limits

TONE = 0.3 * np.sin(np.arange(6 * 48_000) / 20)[None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Six seconds of noise and tone in several containers, big enough to damage."""
    import av

    folder = tmp_path_factory.mktemp("whole")
    random = np.random.default_rng(0)
    for name, options in {
        "a.mp4": {"movflags": "faststart"},
        "end.mp4": {},
        "a.mkv": {},
        "a.ts": {},
        "a.avi": {},
    }.items():
        with av.open(str(folder / name), "w", container_options=options) as file:
            codec = "mpeg4" if name == "a.avi" else "libx264"
            stream = file.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.codec_context.gop_size = 10
            sound = file.add_stream("aac", rate=48_000, layout="mono")
            for index in range(150):
                noise = random.integers(0, 255, (64, 96, 3), np.uint8)
                frame = av.VideoFrame.from_ndarray(noise, format="rgb24")
                frame.pts = index
                file.mux(stream.encode(frame))
                part = TONE[:, index * 1920 : (index + 1) * 1920].astype(np.float32)
                heard = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                heard.sample_rate, heard.pts = 48_000, index * 1920
                file.mux(sound.encode(heard))
            file.mux(stream.encode())
            file.mux(sound.encode())
    return folder


def damaged(path, whole, change):
    data = bytearray(whole.read_bytes())
    path.write_bytes(change(data) or data)
    return path


def hole(data):
    data[len(data) // 2 : len(data) * 2 // 3] = bytes(len(data) * 2 // 3 - len(data) // 2)


def half(data):
    return data[: len(data) // 2]


# 1, 2: containers that name other files or addresses
PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile 'secret.mp4'\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet><Representation id="1" '
    'bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "text": "{url}\n",
}


@pytest.fixture
def listener(monkeypatch):
    """The port of a server that nobody may call; Python itself cannot connect at all."""

    def connect(*_):
        raise AssertionError("a media path opened a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
        calls, _, _ = select.select([server], [], [], 0)
        assert calls == []


@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "ts"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_refused_and_calls_nobody(decoder, tmp_path, whole, listener, kind, suffix):
    (tmp_path / "secret.mp4").write_bytes((whole / "a.mp4").read_bytes())
    path = tmp_path / f"a.{suffix}"
    path.write_text(PLAYLISTS[kind].format(url=f"http://127.0.0.1:{listener}/x.ts", port=listener))
    with pytest.raises(MediaError) as caught:
        decoder.decode(path, views=[View()])
    assert "not allowed" in caught.value.what or "not a video" in caught.value.what
    if kind in ("concat", "sdp"):
        assert f"container '{kind}' not allowed" in caught.value.what
    assert not caught.value.again


def test_an_address_is_not_a_file(decoder, listener):
    for address in (f"http://127.0.0.1:{listener}/a.mp4", "concat:a.mp4|b.mp4", "pipe:0"):
        with pytest.raises(MediaError, match="No such file"):
            decoder.decode(address)


def test_the_decoding_process_can_open_nothing_more():
    script = """
import os, socket
from varkit.system.bounds import forbid_opening
forbid_opening(1)
os.open("/dev/null", os.O_RDONLY)
for attempt in (lambda: os.open("/dev/null", os.O_RDONLY), socket.socket):
    try: attempt()
    except OSError as error: print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["24", "24"], done.stderr


# 3: bombs
def test_a_small_file_with_giant_pictures_is_refused_before_decoding(decoder, tmp_path):
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 8192, 8192, "yuvj420p"
        frame = av.VideoFrame(8192, 8192, "yuvj420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    assert path.stat().st_size < 2**21  # and 100 MB decoded
    with pytest.raises(MediaError, match="8192 x 8192 pixels, more than 33,554,432"):
        decoder.decode(path, views=[View()])


def test_a_header_with_impossible_sizes_fails(decoder, tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(b"GIF89a" + struct.pack("<HHBBB", 65_000, 65_000, 0, 0, 0) + bytes(50) + b";")
    with pytest.raises(MediaError, match="cannot be decoded"):
        list(decoder.decode(path, views=[View()]))


def test_pictures_that_grow_beyond_the_limit_are_not_decoded(tmp_path):
    parts = [
        make_video(tmp_path / f"{w}.h264", range(0, 400, 40), size=(w, w)).read_bytes()
        for w in (64, 256)
    ]
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(parts))
    with Decoder(Limits(pixels=128 * 128)) as decoder:
        [(frames, _)], _, decoding = collect(decoder, path, View())
    assert len(frames) == 10
    assert decoding.outcome.status == "partial"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(seconds=3), "lasts 6 s, more than 3 s"),
        (Limits(pixels=96 * 63), "96 x 64 pixels, more than"),
        (Limits(memory=2**23), "takes more than 8 MiB of memory"),
        (Limits(patience=0.0, pace=0.001), "takes too long"),
    ],
)
def test_a_file_over_a_limit_is_refused_and_the_next_is_fine(whole, tmp_path, limits, message):
    small = make_video(tmp_path / "a.mkv", range(0, 400, 40), size=(64, 48))
    decoder = Decoder(limits)
    with decoder, pytest.raises(MediaError, match=message):
        list(decoder.decode(whole / "a.mp4", views=[View(short_side=2000)]))
    if limits.patience:
        with decoder:
            assert len(list(decoder.decode(small, views=[View()])))


def test_a_stream_longer_than_it_declares_is_stopped_at_the_limit(tmp_path):
    path = make_video(tmp_path / "a.h264", range(0, 6_000, 40))
    with Decoder(Limits(seconds=3)) as decoder, pytest.raises(MediaError, match="at least 3 s"):
        list(decoder.decode(path, views=[View(fps=1)]))


def test_pieces_are_small_however_large_the_video(decoder, whole):
    for piece in decoder.decode(whole / "a.mp4", views=[View(short_side=512)], sound=True):
        data = piece.frames if isinstance(piece, Pictures) else piece.samples
        assert data.nbytes <= 2**22


# 4, 5: holes and ends
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_a_hole_is_reported_and_the_rest_decoded(decoder, tmp_path, whole, name):
    path = damaged(tmp_path / name, whole / name, hole)
    [(_, times)], _, decoding = collect(decoder, path, View(fps=25), sound=True)
    outcome = decoding.outcome
    assert outcome.status == "partial"
    assert 0.5 < outcome.coverage < 0.95
    assert outcome.pictures.decoded == pytest.approx(len(times) / 25, abs=0.2)
    text = "; ".join(outcome.problems)
    assert "no pictures from" in text or "pictures end at" in text
    if name != "a.avi":  # which stores no times, so what follows a hole moves up
        assert np.diff(times).max() > 0.5
        assert times[-1] > 5.5


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_half_a_file_is_partial_and_says_where_it_ends(decoder, tmp_path, whole, name):
    path = damaged(tmp_path / name, whole / name, half)
    [(_, times)], _, decoding = collect(decoder, path, View(fps=25), sound=True)
    assert decoding.facts.duration == pytest.approx(6, abs=0.1)
    assert decoding.outcome.status == "partial"
    assert decoding.outcome.coverage == pytest.approx(0.5, abs=0.1)
    end = times[-1] + 0.04
    assert any(f"the pictures end at {end:.2f} s of 6.0" in p for p in decoding.outcome.problems)


def test_a_file_without_its_index_fails(decoder, tmp_path, whole):
    path = damaged(tmp_path / "a.mp4", whole / "end.mp4", half)
    with pytest.raises(MediaError, match="header is missing"):
        decoder.decode(path)


def test_a_file_with_nothing_to_decode_fails_with_the_reason(decoder, tmp_path, whole):
    def blank(data):
        start = data.index(b"mdat") + 4
        data[start:] = bytes(len(data) - start)

    path = damaged(tmp_path / "a.mp4", whole / "a.mp4", blank)
    with pytest.raises(MediaError, match="cannot be decoded"):
        list(decoder.decode(path, views=[View()]))


def test_random_changes_never_harm_the_reader(decoder, tmp_path, whole):
    random = np.random.default_rng(1)
    for name, trial in itertools.product(("a.mp4", "a.mkv", "a.ts", "a.avi"), range(4)):
        data = np.frombuffer((whole / name).read_bytes(), np.uint8).copy()
        places = random.integers(0, len(data) if trial % 2 else 2_000, 60)
        data[places] = random.integers(0, 255, 60)
        path = tmp_path / f"{trial}-{name}"
        path.write_bytes(data.tobytes())
        with suppress(MediaError):
            [(_, times)], _, decoding = collect(decoder, path, View(fps=5), sound=True)
            assert (np.diff(times) > 0).all()
            assert 0 <= decoding.outcome.coverage <= 1


# 6: no files
def test_what_is_not_a_file_is_never_opened(decoder, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "random.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.mp4"))
        for name, message in {
            "pipe.mp4": "it is a pipe",
            "folder.mp4": "it is a folder",
            "socket.mp4": "it is a socket",
            "empty.mp4": "is empty",
            "loop.mp4": "symbolic links",
            "random.mp4": "not a video",
            "missing.mp4": "No such file",
            "nul\0.mp4": "not a file name",
        }.items():
            with pytest.raises(MediaError, match=message):
                decoder.decode(tmp_path / name)
    with pytest.raises(MediaError, match="it is a device"):
        decoder.decode("/dev/zero")


# 9: files that change
@pytest.mark.parametrize("how", ["grows", "vanishes", "is replaced"])
def test_a_file_that_changes_meanwhile_is_not_trusted(decoder, tmp_path, whole, how):
    path = damaged(tmp_path / "a.mp4", whole / "a.mp4", lambda data: None)
    pieces = iter(decoder.decode(path, views=[View(short_side=512)]))
    next(pieces)
    if how == "grows":
        with path.open("ab") as file:
            file.write(b"more")
    elif how == "vanishes":
        path.unlink()
    else:
        damaged(tmp_path / "b.mp4", whole / "a.mp4", lambda data: None).replace(path)
    with pytest.raises(MediaError, match="changed while it was read") as caught:
        list(pieces)
    assert caught.value.again


# 10: decoders that crash, hang or stay behind
def decoding_process(decoder):
    """The child that decodes; it waits for its reader after two pieces."""
    (worker,) = (
        p
        for p in psutil.Process().children()
        if "varkit.media.worker" in p.cmdline() and p.pid == decoder._worker._process.pid
    )
    (child,) = worker.children()
    return child


@pytest.mark.parametrize(
    ("blow", "message"),
    [
        (signal.SIGSEGV, r"the decoder crashed \(SIGSEGV\)"),
        (signal.SIGKILL, "the decoder was killed"),
        (signal.SIGALRM, "made no progress for 2 s"),
        (signal.SIGSTOP, "takes too long: no progress for 3.0 s"),
    ],
)
def test_a_decoder_that_dies_or_hangs_leaves_the_reader_whole(whole, blow, message):
    with Decoder(Limits(patience=2.0)) as decoder:
        pieces = iter(decoder.decode(whole / "a.mp4", views=[View(short_side=512)]))
        first = next(pieces)
        assert first.times[0] == 0
        decoding_process(decoder).send_signal(blow)
        with pytest.raises(MediaError, match=message) as caught:
            list(pieces)
        assert caught.value.again
        assert len(list(decoder.decode(whole / "a.mkv", views=[View(fps=1)])))


def test_a_hang_of_the_decoder_ends_it_without_its_reader():
    script = """
import mmap, socket, time
from varkit.media.link import Link
link = Link(socket.socketpair()[0], mmap.mmap(-1, 4096), patience=0.2)
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=30)
    assert done.returncode == -signal.SIGALRM


def test_no_process_stays_behind_a_reader_that_is_killed(whole):
    script = f"""
import time
from varkit.media.chunks import View
from varkit.media.decode import Decoder
decoder = Decoder()
next(iter(decoder.decode({str(whole / "a.mp4")!r}, views=[View(short_side=512)])))
print(decoder._worker._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as reader:
        worker = psutil.Process(int(reader.stdout.readline()))
        family = [worker, *worker.children()]
        reader.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_a_decoding_that_is_given_up_does_not_disturb_the_next(whole):
    with Decoder() as decoder:
        next(iter(decoder.decode(whole / "a.mp4", views=[View(short_side=512)])))
        pieces = list(decoder.decode(whole / "a.mkv", views=[View(fps=1)]))
        assert sum(len(piece.times) for piece in pieces) == 6


def test_a_slow_reader_is_not_a_slow_decoder(decoder, whole):
    started = time.monotonic()
    decoding = decoder.decode(whole / "a.mp4", views=[View(short_side=512)])
    for count, _ in enumerate(decoding):
        if count == 3:
            time.sleep(0.5)
    assert decoding._waited < time.monotonic() - started - 0.5


def test_nonsense_from_a_decoder_is_an_error_of_its_file(whole, monkeypatch):
    for message in (b"{}\n", b"not json\n", b'{"view": 9, "times": [], "shape": [9], "slot": 0}\n'):
        ours, theirs = socket.socketpair()
        with Decoder() as decoder, theirs:
            decoding = decoder.decode(whole / "a.mp4", views=[View(short_side=512)])
            decoder._worker._sock.close()
            monkeypatch.setattr(decoder._worker, "_sock", ours)
            monkeypatch.setattr(decoder._worker, "_received", message)
            with pytest.raises(MediaError, match="the decoder broke off"):
                list(decoding)


def test_without_the_extra_the_error_names_it():
    script = """
import sys
sys.modules["av"] = None
from varkit.media.decode import Decoder
from varkit.errors import VarkitError
try: Decoder()
except VarkitError as error: print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "pip install 'varkit[media]'", done.stderr
    assert issubclass(MediaError, VarkitError)
