"""The space of labels: its kernel, its sentences, what it leaves out and what it says."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from varkit_label_space.labels import LEAST, Labels, lemmas
from varkit_label_space.text import E5, lacking, open_text_model

from varkit.blocks.numpy_bert import NumpyBert
from varkit.blocks.tiny_language import write_tiny_encoder
from varkit.errors import DataError
from varkit.interfaces import Streamed, Track
from varkit.testing.stand_ins import STREAMS

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["a car hits a dog", "fire in the street", "two people fighting"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(write_tiny_encoder(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def space(tiny):
    return Labels(STREAMS, {}, text=tiny)


def track(values, dtype=np.float32):
    starts = np.arange(len(values), dtype=np.float64)
    return Track(np.array(values, dtype), np.stack([starts, starts + 1], axis=1))


def test_a_sentence_is_the_kernel_of_the_names_nearest_to_it(tiny):
    """The slow reference: sentence by sentence, class by class, synonym by synonym."""
    space, encoder = Labels(STREAMS, {}, text=tiny, tau=0.2), NumpyBert(Path(tiny))
    wanted = []
    for text in TEXTS:
        row, sentence = [], encoder.encode([text])[0]
        for key, tau in (("image.classes", 0.2), ("yamnet.classes", 0.1)):
            cosines = []
            for name in STREAMS[key].classes:
                synonyms = [
                    encoder.encode([s.strip()])[0] for s in name.replace(";", ",").split(",")
                ]
                mean = sum(synonyms) / len(synonyms)
                cosines.append(float(sentence @ mean / np.linalg.norm(mean)))
            row += [math.exp((cosine - max(cosines)) / tau) for cosine in cosines]
        wanted.append(row)
    np.testing.assert_allclose(space.encode_text(TEXTS), wanted, rtol=1e-4)


def test_channels_have_the_blocks_of_the_streams_that_are_there(tiny):
    action = {"i3d.classes": Streamed("i3d.classes", 2, ("jumping", "boxing"))}
    whole = Labels({**STREAMS, **action}, {}, text=tiny).channels
    blocks = [(b.name, b.width, b.weight, b.log, b.power) for b in whole["words"].blocks]
    assert blocks == [
        ("image", 4, 1, True, 2),
        ("action", 2, 1, True, 2),
        ("sound", 3, 0.15, True, 1),
    ]
    assert [(b.name, b.width, b.unit) for b in whole["sound"].blocks] == [("sound", 6, True)]
    assert [(b.name, b.width, b.unit) for b in whole["looks"].blocks] == [("looks", 8, True)]
    answers = {name: set(channel.answers) for name, channel in whole.items()}
    assert answers == {"words": {"text"}, "sound": {"sound", "example"}, "looks": {"example"}}
    assert set(Labels(action, {}, text=tiny).channels) == {"words"}
    with pytest.raises(DataError, match="none of the streams"):
        Labels({"vggish.features": Streamed("vggish.features", 128)}, {}, text=tiny)
    with pytest.raises(DataError, match="no names of classes"):
        Labels({"image.classes": Streamed("image.classes", 9)}, {}, text=tiny)


def test_a_space_without_words_needs_no_text_model():
    streams = {key: s for key, s in STREAMS.items() if key.endswith("features")}
    space = Labels(streams, {}, text="nowhere")
    assert (dict(space.origin), dict(space.kept)) == ({"version": 1}, {})
    with pytest.raises(DataError, match="needs the classes"):
        space.encode_text(["a dog"])


def test_scores_of_sounds_become_shares_and_silence_is_left_out(space):
    sounds = [[0.9, 0.1, 0.2], [0.2, 0.6, 0.2], [0.0, 0.1, 0.3]]
    streams = {"yamnet.classes": track(sounds), "yamnet.features": track(np.eye(3, 6))}
    made = space.tracks({**streams, "image.classes": track([[0.1, 0.2, 0.3, 0.4]])})
    np.testing.assert_allclose(made["words"]["sound"].values, [[0.2, 0.6, 0.2], [0, 0.25, 0.75]])
    np.testing.assert_array_equal(made["words"]["sound"].times, [[1, 2], [2, 3]])
    np.testing.assert_array_equal(made["sound"]["sound"].values, np.eye(3, 6)[1:])
    np.testing.assert_allclose(made["words"]["image"].values, [[0.1, 0.2, 0.3, 0.4]])
    assert made["looks"] == {}
    silent = {"yamnet.classes": track(sounds[:1]), "yamnet.features": track(np.eye(1, 6))}
    assert space.tracks(silent) == {"words": {}, "sound": {}, "looks": {}}


def test_a_prefix_asks_the_sound_alone(space, tiny):
    plain, prefixed = space.encode_text(["glass"]), space.encode_text(["  Sound: glass"])
    image, sound = space.channels["words"].slices
    np.testing.assert_array_equal(prefixed[:, sound], plain[:, sound])
    assert not prefixed[:, image].any(), "as if every video lacked it"
    mixed = space.encode_text(["glass", "sound: glass"])
    np.testing.assert_allclose(mixed, np.concatenate([plain, prefixed]), rtol=1e-5)
    looking = Labels({"image.classes": STREAMS["image.classes"]}, {}, text=tiny)
    with pytest.raises(DataError, match="no classes of sounds"):
        looking.encode_text(["sound: glass"])


@pytest.mark.parametrize("text", ["", " ", "sound:", "犬", "\ud83d"])
def test_a_sentence_without_a_known_word_is_refused(space, text):
    with pytest.raises(DataError, match="no word that the text model knows"):
        space.encode_text(["a dog", text])


def test_names_are_encoded_once_and_then_taken_from_what_was_kept(space, tiny):
    kept = {key: values[:, ::-1] for key, values in space.kept.items()}
    assert {key: values.shape for key, values in kept.items()} == {
        "words.image": (4, 32),
        "words.sound": (3, 32),
    }
    again = Labels(STREAMS, kept, text=tiny)
    np.testing.assert_array_equal(again.kept["words.image"], kept["words.image"])
    with pytest.raises(DataError, match=r"words\.sound has shape \(4, 32\)"):
        Labels(STREAMS, {"words.sound": kept["words.image"]}, text=tiny).encode_text(["a dog"])


def test_no_kernel_is_zero_however_sharp(tiny):
    kernel = Labels(STREAMS, {}, text=tiny, tau=1e-4).encode_text(TEXTS)
    assert kernel.min() == np.float32(LEAST)
    assert (kernel.max(axis=1) == 1).all()


def test_reasons_are_shares_of_each_block_without_names_that_insult(tiny):
    names = ("car, auto", "gorilla, Gorilla gorilla", "dog", *"efghijk")
    image = {"image.classes": Streamed("image.classes", len(names), names)}
    space = Labels({**STREAMS, **image}, {}, text=tiny)
    row = np.zeros(13, np.float32)
    row[: len(names)] = [0.3, 0.2, 0.1, *[0.07] * 6, 0.04]
    query = np.full(13, 0.5, np.float32)
    query[0] = 1
    reasons = space.reasons("words", query, row)
    assert [(r.block, r.label) for r in reasons] == [("image", n) for n in ("car", "dog", *"efg")]
    total = 0.3 + 0.5 * (row[: len(names)].sum() - 0.3)
    assert reasons[0].share == pytest.approx(0.3 / total)
    assert reasons[1].share == pytest.approx(0.05 / total)
    row[10:], query[10:] = [0.8, 0.1, 0.1], [0.1, 1, 0.2]
    labels = [(r.block, r.label) for r in space.reasons("words", query, row)]
    assert labels[:3] == [("sound", "Car"), ("image", "car"), ("sound", "Silence")]
    assert space.reasons("sound", row[:6], row[:6]) == []
    unasked = np.zeros(13, np.float32)
    assert space.reasons("words", unasked, row) == []


def test_names_of_classes_are_split_into_synonyms():
    assert lemmas("Child speech, kid speaking") == ["Child speech", "kid speaking"]
    assert lemmas("a; b,c ,") == ["a", "b", "c"]
    assert lemmas(",") == [","]


def test_a_query_imports_neither_torch_nor_transformers_nor_pydantic(tiny):
    code = f"""
import sys
from varkit.interfaces.searching import Streamed
from varkit_label_space.labels import Labels
streams = {{"image.classes": Streamed("image.classes", 2, ("car", "dog"))}}
space = Labels(streams, {{}}, text={tiny!r})
query = space.encode_text(["a dog runs"])
space.reasons("words", query[0], query[0]), space.origin
assert not {{"torch", "transformers", "pydantic"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_text_model_that_is_not_here_is_said_with_how_to_get_it(tmp_path):
    assert "pip install" in lacking("package:no_such_model")[0]
    assert lacking(str(tmp_path / "nowhere")) == [
        f"the text model {tmp_path / 'nowhere'}, a folder"
    ]
    assert lacking(str(tmp_path)) == []


def test_chinese_sentences_are_near_their_translations():
    if lack := lacking(E5):
        pytest.skip(lack[0])
    model = open_text_model(E5)
    pairs = ["一只狗在海滩上奔跑", "a dog runs on the beach", "商店着火了", "a shop is on fire"]
    vectors = model.encode(pairs)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    similar = vectors @ vectors.T
    assert min(similar[0, 1], similar[2, 3]) > max(similar[0, 3], similar[2, 1])
    assert model.knows("狗")
    assert not model.knows("?!")
    assert len(model.encode(["dog \ud83d"])) == 1
