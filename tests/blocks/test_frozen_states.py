"""States of frozen captions: what is kept in files is what the model says of each caption alone."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from varkit.blocks import frozen_states as module
from varkit.blocks.caption_encoder import CaptionEncoder
from varkit.blocks.frozen_states import BATCH, PART, frozen_states
from varkit.blocks.tiny_language import write_tiny_language
from varkit.errors import StoppedError

TEXTS = ["", "fire", "Fire", "two men are fighting", "a man smashes the window of a red car."]
TEXTS += [f"a {a} {b} {c}" for a in ("man", "dog") for b in ("runs", "walks") for c in "abcdefgh"]
SEQUENCES = [(i, i + 1) for i in range(PART + BATCH + 1)]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_language(tmp_path_factory.mktemp("tiny"))


def make(folder, **options):
    rest = {"revision": None, "download": False, "finetune": False, "dropout": 0.0}
    encoder = CaptionEncoder(model=str(folder), **{"max_tokens": 64, **rest, **options})
    encoder.batches = []
    encoder.language.model.register_forward_pre_hook(
        lambda _, args, kwargs: encoder.batches.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    return encoder


def states(encoder, texts):
    """Return each caption's states without padding; nothing is left to compute."""
    count, captions = len(encoder.batches), encoder.tokenize(texts)
    found = encoder.states(captions)
    assert len(encoder.batches) == count
    return [row[mask] for row, mask in zip(found, captions.mask, strict=True)]


def one_by_one(encoder, texts):
    """The slow reference: every caption alone through the model, never padded, never kept."""
    with torch.no_grad():
        captions = [encoder.tokenize([text]) for text in texts]
        return [encoder.language.encode(one.ids, one.mask)[0] for one in captions]


def squares(ids):
    return torch.stack([ids, ids**2], dim=-1).float()


def fill(compute=squares, progress=None, sequences=SEQUENCES):
    """Ask for the states of sequences; they must be right, whoever computed them."""
    found = dict(frozen_states(sequences, compute, "model", progress))
    assert sorted(found) == sorted(sequences)
    assert all(torch.equal(state, squares(torch.tensor(ids))) for ids, state in found.items())


def files():
    return sorted(module.CACHE.glob("*/*.safetensors"))


def test_remembered_states_are_those_of_each_caption_alone(tiny, monkeypatch):
    monkeypatch.setattr(module, "PART", 10)
    encoder = make(tiny)
    encoder.remember(TEXTS * 2)
    assert len(files()) == 4
    assert sum(rows for rows, _ in encoder.batches) == len(TEXTS) - 1  # "Fire" is cut as "fire" is
    assert len(encoder.batches) < len(TEXTS) / 2
    for found, expected in zip(states(encoder, TEXTS), one_by_one(encoder, TEXTS), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


def test_the_bits_are_the_same_warm_and_cold_in_any_order_and_whatever_else_is_kept(tiny):
    cold, warm = make(tiny), make(tiny)
    cold.remember(TEXTS)
    expected = states(cold, TEXTS)
    warm.remember(TEXTS[::-1])
    assert not warm.batches
    assert all(map(torch.equal, states(warm, TEXTS), expected))

    shutil.rmtree(module.CACHE)
    other = make(tiny)
    other.remember(TEXTS[:9])  # another split, with captions of this one
    other.remember(TEXTS)
    again = make(tiny)
    again.remember(TEXTS)
    assert not again.batches
    assert all(map(torch.equal, states(again, TEXTS), expected))


@pytest.mark.parametrize("change", ["weights", "configuration", "tokenizer", "cut", "precision"])
def test_nothing_is_taken_from_another_model_tokenizer_cut_or_precision(tiny, tmp_path, change):
    make(tiny).remember(TEXTS)
    folder, options = shutil.copytree(tiny, tmp_path / "other"), {}
    if change == "weights":
        weights = load_file(folder / "model.safetensors")
        weights["embeddings.word_embeddings.weight"] += 1
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    elif change == "configuration":  # of the same weights
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"num_attention_heads": 4}))
    elif change == "tokenizer":
        words = (folder / "vocab.txt").read_text().replace("man\n", "cat\n", 1)
        (folder / "vocab.txt").write_text(words)
    elif change == "cut":
        options["max_tokens"] = 4
    other = make(folder, **options)
    if change == "precision":
        other.double()
    other.remember(TEXTS)
    assert other.batches
    for found, expected in zip(states(other, TEXTS), one_by_one(other, TEXTS), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign"])
def test_a_damaged_file_is_named_and_made_again(damage):
    fill()
    first, second = files()
    data = bytearray(second.read_bytes())
    if damage == "flipped":
        data[-20] ^= 1
    second.write_bytes(
        {"truncated": data[:-9], "empty": b"", "flipped": data, "foreign": b"{}" * 99}[damage]
    )
    with pytest.warns(UserWarning, match=rf"{second.stem}.*; its states are computed again"):
        fill()
    fill(compute=None)  # from the files alone
    assert files() == [first, second]


def _fill_or_die(folder, moment, barrier):
    os.chdir(folder)
    with open(f"computed-{os.getpid()}", "w") as log:

        def compute(ids):
            if (ids == moment).any():
                os.kill(os.getpid(), signal.SIGKILL)
            log.writelines(f"{first}\n" for first, _ in ids.tolist())
            return squares(ids)

        barrier.wait(60)
        fill(compute)


def fill_at_once(folder, count, moment=-1):
    context = multiprocessing.get_context("forkserver")  # one that has run torch may hang if forked
    arguments = (folder, moment, context.Barrier(count))
    processes = [context.Process(target=_fill_or_die, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def test_a_killed_process_leaves_whole_files_and_no_lock(tmp_path):
    assert fill_at_once(tmp_path, 1, moment=PART + 5) == [-signal.SIGKILL]
    (whole,) = files()
    half = whole.with_name(".x.safetensors.0.part")
    half.touch()  # left by a process that is killed while it writes
    computed = []
    fill(lambda ids: computed.extend(ids) or squares(ids))
    assert len(computed) == len(SEQUENCES) - PART
    assert not half.exists()


def test_processes_that_fill_at_once_compute_everything_once(tmp_path):
    assert fill_at_once(tmp_path, 2) == [0, 0]
    computed = [path.read_text().split() for path in tmp_path.glob("computed-*")]
    assert sorted(int(x) for own in computed for x in own) == [first for first, _ in SEQUENCES]


@pytest.mark.parametrize("fault", ["read-only", "full"])
def test_what_cannot_be_written_stays_in_memory_and_what_is_there_is_read(fault, monkeypatch):
    fill(sequences=SEQUENCES[:PART])
    (there,) = files()
    if fault == "read-only":  # for root too
        (there.parent / ".lock").unlink()
        (there.parent / ".lock").mkdir()
    else:
        reason = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(reason))
    longer = [*SEQUENCES[:PART], *((9, i, i) for i in range(2 * PART))]
    with pytest.warns(UserWarning, match=r"cannot write .*; states of captions stay") as caught:
        fill(sequences=longer)
    assert len(caught) == 1
    assert files() == [there]


def test_progress_is_told_and_may_stop_it_without_losing_whole_files():
    told, total = [], len(SEQUENCES)

    def tell(done, of):
        told.append((done, of))
        if len(told) > PART / BATCH:
            raise StoppedError("stopped", signal_number=15)

    with pytest.raises(StoppedError):
        fill(progress=tell)
    assert told == [(done, total) for done in range(BATCH, PART + BATCH + 1, BATCH)]
    told.clear()
    fill(progress=tell)
    assert told == [(PART + BATCH, total), (total, total)]


def test_states_stay_in_their_files():
    held = dict(frozen_states(SEQUENCES, squares, "model"))
    maps = Path("/proc/self/maps").read_text()
    assert all(str(file.resolve()) in maps for file in files()), len(held)


def test_a_model_that_is_trained_remembers_nothing(tiny):
    encoder = make(tiny, finetune=True)
    encoder.remember(TEXTS)
    assert not encoder.batches
    assert not module.CACHE.exists()
