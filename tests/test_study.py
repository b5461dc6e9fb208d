"""The study: nothing that ended is lost, nothing runs twice, and the records say what ran."""

import importlib
import inspect
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from keras.layers import Conv2DTranspose
from reference import HANGING

import cae_lessons as cae
from cae_lessons import study
from cae_lessons.study import command
from cae_lessons.study import run as one_run
from cae_lessons.study.cluster import connect

# Two variants, two seeds, two steps: four runs that take a second each.
SMALL = {"only": "strided/relu-l*/200-steps", "seeds": 2, "steps": 2}
ONE_VARIANT = "strided/relu-linear/200-steps"
TIMES = {"seconds", "versions"}


@pytest.fixture(scope="module")
def record():
    return study.run_task(study.tasks(**SMALL)[0])


def keys(wanted):
    return {(task["variant"], task["seed"]) for task in wanted}


def without_times(records):
    return {
        key: {name: value for name, value in record.items() if name not in TIMES}
        for key, record in records.items()
    }


def start(path, **options):
    options = {**SMALL, **options, "out": path}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return subprocess.Popen(
        [sys.executable, "-m", "cae_lessons.study", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        start_new_session=True,
        # What a shell starts in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for_records(process, path, count):
    """Wait until a study has recorded so many runs; that it ends before is a failure."""
    start = time.monotonic()
    while time.monotonic() - start < HANGING:
        ended = process.poll() is not None
        if path.exists() and len(path.read_text().splitlines()) >= count:
            return
        if ended:
            pytest.fail(f"the study ended without {count} records: {process.stdout.read()}")
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"no {count} records within {HANGING} seconds")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """Return the exit status, the output and the file of a study that Ctrl-C ended."""
    path = tmp_path_factory.mktemp("interrupted") / "records.jsonl"
    process = start(path, only=ONE_VARIANT, seeds=20)
    wait_for_records(process, path, 1)
    os.killpg(process.pid, signal.SIGINT)  # to the workers too, as a terminal does
    output, _ = process.communicate(timeout=HANGING)
    return process.returncode, output, path


def test_ctrl_c_keeps_what_ended(interrupted):
    status, output, path = interrupted
    assert status == 130
    assert "To continue, run the same command" in output
    records, damaged = study.read_records(path)
    assert records
    assert not damaged


@pytest.fixture
def cluster():
    """Start a Dask cluster of somebody else's, with one worker."""
    from dask.distributed import Client, LocalCluster

    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    options = {"dashboard_address": None, "env": dict.fromkeys(names, "1")}
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster,
        Client(cluster) as client,
    ):
        # It imports while the study starts; what nobody holds, Dask would cancel.
        cluster.ready = client.submit(importlib.import_module, "cae_lessons.study.run")
        yield cluster


def test_killed_study_and_killed_worker_lose_nothing(tmp_path, cluster, interrupted):
    path = tmp_path / "records.jsonl"
    there = {"only": ONE_VARIANT, "scheduler": cluster.scheduler_address}
    first = start(path, **there)
    wait_for_records(first, path, 1)
    first.kill()
    first.wait()
    kept, damaged = study.read_records(path)
    assert not damaged
    assert kept

    second = start(path, **there, seeds=3)
    wait_for_records(second, path, len(kept) + 1)
    (worker,) = cluster.workers.values()
    os.kill(worker.pid, signal.SIGKILL)
    output, _ = second.communicate(timeout=HANGING)
    assert second.returncode == 0, output
    records, damaged = study.read_records(path)
    assert not damaged
    assert records.keys() == keys(study.tasks(ONE_VARIANT, seeds=3, steps=2))
    assert len(path.read_text().splitlines()) == len(records)
    assert {key: records[key] for key in kept} == kept  # seconds included: they didn't run again
    assert f"{len(kept)} of 3 runs are recorded already" in output
    assert not list(tmp_path.glob("*.partial"))

    # On workers of its own, the study found the same.
    own, here = (without_times(found) for found in (study.read_records(interrupted[2])[0], records))
    both = own.keys() & here.keys()
    assert both
    assert {key: own[key] for key in both} == {key: here[key] for key in both}


class Workers:
    """A stand-in for Dask: runs the tasks here, one after the other."""

    def __init__(self, run):
        self.run = run

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def nthreads(self):
        return {"here": 1}


@pytest.fixture
def here(monkeypatch):
    """Run tasks in this process by a function of the test's."""

    def use(run):
        def as_they_end(client, missing):
            for task in missing:
                try:
                    yield task, run(task), None
                except RuntimeError as error:
                    yield task, None, repr(error)

        monkeypatch.setattr(command, "connect", lambda scheduler: Workers(run))
        monkeypatch.setattr(command, "as_they_end", as_they_end)

    return use


def test_only_what_is_missing_runs(tmp_path, here, record):
    path, ran = tmp_path / "records.jsonl", []
    wanted = study.tasks(**SMALL)

    def run(task):
        ran.append((task["variant"], task["seed"]))
        return {**record, **task}

    here(run)
    study.run_study(wanted[:3], path, report=lambda line: None)
    assert study.run_study(wanted, path, report=lambda line: None) == []
    assert ran == [(task["variant"], task["seed"]) for task in wanted]
    assert study.read_records(path)[0].keys() == keys(wanted)


def test_failing_run_is_named_and_stops_no_other(tmp_path, here, record):
    path, lines = tmp_path / "records.jsonl", []
    wanted = study.tasks(**SMALL)

    def run(task):
        if task["seed"] == 1:
            raise RuntimeError("no memory")
        return {**record, **task}

    here(run)
    failed = study.run_study(wanted, path, report=lines.append)
    assert len(failed) == 2
    assert all("seed 1" in line and "no memory" in line for line in failed)
    assert len(study.read_records(path)[0]) == 2
    assert sum("FAILED" in line for line in lines) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[: len(line) // 2],
        lambda line: "null",
        lambda line: "[" * 100_000,
        lambda line: '{"variant": "strided", "seed": 0}',
        lambda line: json.dumps({**json.loads(line), "curve_loss": []}),
        lambda line: "\x00\xff",
    ],
)
def test_damaged_record_is_named_and_runs_again(tmp_path, here, record, damage):
    path, lines = tmp_path / "records.jsonl", []
    wanted = study.tasks(**SMALL)
    here(lambda task: {**record, **task})
    study.run_study(wanted, path, report=lines.append)
    whole = path.read_text().splitlines()
    path.write_text("\n".join([whole[0], damage(whole[1]), *whole[2:]]) + "\n")
    with pytest.raises(ValueError, match="line 2 isn't a complete record"):
        study.load(path)
    lines.clear()
    study.run_study(wanted, path, report=lines.append)
    assert "line 2 isn't a complete record" in lines[0]
    assert "3 of 4 runs are recorded already" in lines[1]
    assert path.read_text().splitlines() == whole


def test_a_file_of_something_else_stays_as_it_is(tmp_path, here):
    path = tmp_path / "notes.md"
    path.write_text("# Notes\n")
    with pytest.raises(
        ValueError, match="holds no records: line 1 isn't a complete record: '# Notes'"
    ):
        study.run_study(study.tasks(**SMALL), path)
    assert path.read_text() == "# Notes\n"


def test_damaged_record_that_is_not_wanted_is_kept_beside(tmp_path, here, record):
    path = tmp_path / "records.jsonl"
    here(lambda task: {**record, **task})
    text = f"{json.dumps(record)}\n{{damaged}}\n"
    path.write_text(text)
    study.run_study(study.tasks(**SMALL), path)
    assert len(study.load(path)) == 4
    assert path.with_name("records.jsonl.damaged").read_text() == text


def test_failing_write_leaves_the_older_file(tmp_path, record, monkeypatch):
    path = tmp_path / "records.jsonl"
    study.write_records(path, {("a", 0): record})
    before = path.read_text()
    unwritable = {("a", 0): record, ("b", 0): {"bad": object()}}
    with pytest.raises(TypeError):
        study.write_records(path, unwritable)
    assert path.read_text() == before
    assert [each.name for each in tmp_path.iterdir()] == ["records.jsonl"]


def test_record_says_what_ran(record, digits):
    task = study.tasks(**SMALL)[0]
    assert {name: record[name] for name in task} == task
    model = study.build_model(task)
    run = cae.train(model, digits.train.images, steps=2, seed=0, progress=False)
    assert record["curve_step"] == [0, 1]
    np.testing.assert_allclose(record["curve_loss"], run.loss, rtol=1e-4)
    loss = cae.mean_squared_error(model, digits.test.images)
    assert record["test_loss"] == pytest.approx(loss, rel=1e-4)
    assert record["excess"] == pytest.approx(loss, rel=1e-4)  # a strided net has no floor
    assert record["loss_0"] == record["curve_loss"][0]
    assert record["loss_100"] is None  # it ended before
    assert record["test_cross_entropy"] is None  # a linear output gives no probabilities
    assert record["parameters"] == 26448
    assert record["versions"]["tensorflow"]
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize(("net", "floor"), [("zero-fill", "zero_fill"), ("nearest", "nearest")])
def test_floor_is_that_of_the_last_layer(digits, net, floor):
    assert one_run._floor(net) == getattr(cae.floors, floor)(digits.test.images)
    assert one_run._floor(f"mirrored-{net}") == 0


def test_names_tell_all_variants_apart():
    grid = study.grid()
    settings = [tuple(v for k, v in each.items() if k != "variant") for each in grid]
    assert len({each["variant"] for each in grid}) == len(set(settings)) == len(grid)


def test_every_variant_builds_what_its_settings_say():
    for settings in study.grid():
        model = study.build_model({**settings, "seed": 3})
        expected_logits = "logits" in settings["output"]
        assert cae.models.gives_logits(model) == expected_logits, settings["variant"]

        transposed = [each for each in model.layers if isinstance(each, Conv2DTranspose)]
        bias, start = settings["decoder_bias"], settings["output_bias"]
        assert [layer.use_bias for layer in transposed] == [bias, bias or start is not None]
        if start is not None:
            assert transposed[1].bias.numpy() == np.float32([start])
        after = model.layers[model.layers.index(transposed[0]) + 1 :]
        normalized = [layer for layer in after if "BatchNormalization" in type(layer).__name__]
        assert len(normalized) == {None: 0, "hidden": 1, "all": 2}[settings["batch_normalization"]]
        hidden = after[1] if normalized else transposed[0]
        assert hidden.activation.__name__ == settings["hidden"]
        if settings["stddev"]:
            assert np.std(layers_kernel(model)) == pytest.approx(0.88 * settings["stddev"], rel=0.1)


def test_code_of_a_narrow_variant_is_as_its_settings_say():
    for settings in study.tasks("narrow/*", seeds=1):
        code = study.build_model(settings).get_layer("code").output.shape[1:]
        channels = settings["code_channels"]
        assert code == ((7, 7, channels) if channels else (max(settings["code_size"], 1),))


def measured_of(pattern):
    task = study.tasks(pattern, seeds=1, steps=2)[0]
    return study.run_task(task)["measured"]


def test_denoiser_is_trained_on_noise_and_measured_with_each_kind(digits):
    task = study.tasks("residual/*noise-0.4*", seeds=1, steps=2)[0]
    record, model = study.run_task(task), study.build_model(task)
    batches = cae.noise.noisy_batches(digits.train.images, 0.4)
    run = cae.train(model, batches, steps=2, learning_rate=0.001, progress=False)
    np.testing.assert_allclose(record["curve_loss"], run.loss, rtol=1e-4)
    images = digits.test.images
    noisy = cae.noise.gaussian(images, 0.4, seed=1)
    assert record["test_loss"] == pytest.approx(
        cae.mean_squared_error(model, noisy, images), rel=1e-3
    )
    few = images[:2000]
    kinds = study.noisy_images(few).keys()
    assert record["measured"].keys() == {*kinds, "changes with the noise"}
    for kind, found in study.noisy_images(few).items():
        pictures = cae.reconstruct(model, found)
        assert record["measured"][kind] == pytest.approx(np.mean((pictures - few) ** 2), rel=1e-3)
    assert record["test_cross_entropy"] is None


def test_left_out_digit_isnt_trained_on_and_is_looked_for(digits):
    task = study.tasks("strided/*without-3*", seeds=1, steps=2)[0]
    record, model = study.run_task(task), study.build_model(task)
    others = digits.train.images[digits.train.labels != 3]
    run = cae.train(model, others, steps=2, learning_rate=0.001, progress=False)
    np.testing.assert_allclose(record["curve_loss"], run.loss, rtol=1e-4)
    images, odd = digits.test.images[:], digits.test.labels == 3
    errors = np.mean((cae.reconstruct(model, images) - images) ** 2, axis=(1, 2, 3))
    expected = cae.scores.area_under_curve(errors[~odd], errors[odd])
    assert record["measured"]["auc"] == pytest.approx(expected, abs=1e-3)


def test_denoisers_loss_has_a_part_that_changes_with_the_noise_and_one_that_doesnt(digits):
    images = digits.test.images[:2000]
    nothing = study.denoised(lambda noisy: noisy, digits)
    draws = [cae.noise.gaussian(images, 0.4, seed=seed) for seed in range(2, 12)]
    variance = np.var(draws, axis=0, ddof=1).mean()
    assert nothing["changes with the noise"] == pytest.approx(variance, rel=0.01)
    assert study.denoised(np.zeros_like, digits)["changes with the noise"] == 0


def test_argmax_denoiser_is_measured_with_parts_of_the_clean_images_code(digits):
    task = study.tasks("mirrored-argmax/*noise-0.4*", seeds=1, steps=2)[0]
    model = study.build_model(task)
    found = study.measured(model, task, digits)
    clean = digits.test.images[:2000]
    noisy = cae.noise.gaussian(clean, 0.4, seed=1)
    # The unpooling layers take their places from another image.
    places = keras.Model(model.input, [model.get_layer(n).output for n in ("pooling_1", "code")])
    first, second = places(clean), places(noisy)
    x = second[1][0]
    for unpooling, deconvolution, where in (
        ("unpooling_1", "transposed_convolution_1", first[1][1]),
        ("unpooling_2", model.layers[-1].name, first[0][1]),
    ):
        x = model.get_layer(deconvolution)(model.get_layer(unpooling)([x, where]))
    assert found["clean places"] == pytest.approx(np.mean((x - clean) ** 2), rel=1e-3)
    assert found["clean code"] != pytest.approx(found["clean places"], rel=1e-3)


def test_unclipped_noise_is_trained_and_tested_unclipped(digits):
    task = study.tasks("strided/*unclipped*", seeds=1, steps=2)[0]
    record, model = study.run_task(task), study.build_model(task)
    batches = cae.noise.noisy_batches(digits.train.images, 0.4, clip=False)
    run = cae.train(model, batches, steps=2, learning_rate=0.001, progress=False)
    np.testing.assert_allclose(record["curve_loss"], run.loss, rtol=1e-4)
    noisy = cae.noise.gaussian(digits.test.images, 0.4, clip=False, seed=1)
    expected = cae.mean_squared_error(model, noisy, digits.test.images)
    assert record["test_loss"] == pytest.approx(expected, rel=1e-3)


def test_net_on_few_images_sees_no_others_and_is_measured_on_them(digits):
    task = study.tasks("narrow/*code-8/*500-images/900*", seeds=1, steps=10)[0]
    record, model = study.run_task(task), study.build_model(task)
    few = digits.train.images[:500]
    run = cae.train(model, few, steps=10, learning_rate=0.001, progress=False)
    np.testing.assert_allclose(record["curve_loss"], run.loss, rtol=1e-4)
    for name, images in (("training", few), ("validation", digits.validation.images)):
        expected = cae.mean_squared_error(model, images)
        assert record["measured"][name] == pytest.approx(expected, rel=1e-3)


def test_detector_is_measured_by_hits_false_alarms_and_strange_images(digits):
    found = study.detected(lambda images: images.mean(axis=(1, 2, 3)), 1, digits)
    ink, labels = digits.test.images.mean(axis=(1, 2, 3)), digits.test.labels
    known = digits.validation.images[digits.validation.labels != 1].mean(axis=(1, 2, 3))
    threshold = np.sort(known)[int(0.95 * (len(known) - 1)) :][:2]
    alarms = [np.mean(ink[labels != 1] >= each) for each in threshold]
    assert alarms[1] <= found["false alarms"] <= alarms[0]
    assert found["hits"] == np.mean(ink[labels == 1] >= threshold[0]) == 0
    assert found["auc"] < 0.1  # a 1 has little ink
    strange = study.strange_images(digits.test.images[0])
    assert found["black"] == found["below black"] == 0
    assert found["inverted"] == pytest.approx(1 - found["digit"])
    assert found["moved"] == pytest.approx(found["digit"])
    assert found["shuffled"] == pytest.approx(found["digit"])
    assert found["stripes"] == 0.5
    assert found["below stripes"] == 1
    assert all(image.dtype == np.float32 for image in strange.values())
    np.testing.assert_array_equal(strange["stripes"][1::2], 1)


def test_rounded_code_has_so_many_levels_and_many_bits_lose_little(digits):
    encoder, decoder = cae.models.encoder_and_decoder(cae.narrow_autoencoder(2, seed=1))
    seen = []

    def watching(codes, training=None):
        seen.append(np.asarray(codes))
        return decoder(codes)

    losses = study.quantized(encoder, watching, digits)
    assert list(losses) == ["all bits", "8 bits", "4 bits", "2 bits", "1 bits"]
    assert losses["8 bits"] == pytest.approx(losses["all bits"], rel=0.01)
    parts = len(seen) // 5
    for bits, start in zip((4, 2, 1), range(parts, 4 * parts, parts), strict=True):
        codes = np.concatenate(seen[start : start + parts])
        assert all(len(np.unique(column)) <= 2**bits for column in codes.T)
        assert len(np.unique(codes)) > 1


def test_labels_are_told_by_the_first_images_alone(digits):
    found = study.labelled(lambda images: images, digits)
    train, test = digits.train, digits.test
    known, unknown = train.images[:5000], test.images[:2000]
    assert found == {
        "neighbours": cae.scores.neighbour_accuracy(
            known, train.labels[:5000], unknown, test.labels[:2000]
        ),
        "probe": cae.scores.probe_accuracy(
            known[:100], train.labels[:100], unknown, test.labels[:2000]
        ),
    }


def test_nets_with_a_small_code_are_measured_by_it():
    assert {"4 bits", "neighbours", "probe"} <= measured_of("narrow/*/code-4/*2000*").keys()
    assert measured_of("strided/relu-linear/200*") == {}


def test_batch_normalization_comes_before_the_activation(digits):
    plain, hidden, both = (
        study.build_model({**study.variant("nearest", batch_normalization=where), "seed": 1})
        for where in (None, "hidden", "all")
    )
    images = digits.test.images[:20]
    names = [layer.name for layer in hidden.layers]
    at = names.index("transposed_convolution_1")
    assert names[at + 1 : at + 3] == [f"{names[at]}_normalized", f"{names[at]}_activation"]
    assert hidden.count_params() - plain.count_params() == 4 * 16
    assert both.count_params() - hidden.count_params() == 4
    # As long as it has seen no image, it does nothing: divide by the root of 1 + ε.
    for model in (hidden, both):
        np.testing.assert_allclose(model(images), plain(images), atol=2e-3)
    pixels = both.get_layer("transposed_convolution_2_normalized")
    both(images, training=True)
    assert pixels.moving_mean.numpy() != 0


FEW = {"steps": 3, "seed": 2}


def losses_of(net, digits, **settings):
    """Return the losses of a few steps, as the study takes them."""
    task = {**study.variant(net, **settings), **FEW}
    return one_run._train(study.build_model(task), digits.train.images, "mse", task).loss


@pytest.mark.parametrize("net", ["nearest", "mirrored-nearest", "mirrored-zero-fill"])
def test_a_run_is_trained_as_train_does(digits, net):
    task = {**study.variant(net, learning_rate=0.001, warmup_steps=2), **FEW}
    options = {"learning_rate": 0.001, "warmup_steps": 2, **FEW}
    run = cae.train(study.build_model(task), digits.train.images, progress=False, **options)
    found = losses_of(net, digits, learning_rate=0.001, warmup_steps=2)
    np.testing.assert_allclose(found, run.loss, rtol=1e-4)


def test_clipping_shortens_all_gradients_together(digits):
    # A limit that is never reached changes nothing; nor does a tiny one, but for Adam's epsilon.
    plain = losses_of("nearest", digits)
    np.testing.assert_allclose(losses_of("nearest", digits, clip_norm=1e9), plain, rtol=1e-4)
    clipped = losses_of("nearest", digits, clip_norm=1e-9)
    assert clipped[0] == pytest.approx(plain[0], rel=1e-4)
    assert abs(clipped[1] - clipped[0]) < 0.5 * abs(plain[1] - plain[0])
    with pytest.raises(ValueError, match="clip_norm works with neither warmup_steps nor logits"):
        study.variant("nearest", clip_norm=1, warmup_steps=10)


@pytest.mark.parametrize("output", ["sigmoid", "logits"])
def test_test_cross_entropy_by_numpy(digits, output):
    task = {**study.variant("strided", output=output), "seed": 1}
    model = study.build_model(task)
    x = digits.test.images[:700].astype(float)
    p = cae.reconstruct(model, digits.test.images[:700]).astype(float)
    expected = np.mean(-x * np.log(p) - (1 - x) * np.log(1 - p))
    found = one_run._cross_entropy(model, digits.test.images[:700])
    assert found == pytest.approx(expected, rel=1e-4)


def test_each_variant_has_its_own_number_of_seeds():
    wanted = study.tasks()
    for each in study.grid():
        seeds = [task["seed"] for task in wanted if task["variant"] == each["variant"]]
        assert seeds == list(range(study.seeds_of(each["variant"])))
    assert study.seeds_of("strided/relu-relu/200-steps") == study.SEEDS == 8
    assert study.variants.MORE_SEEDS.keys() <= {each["variant"] for each in study.grid()}
    assert len(study.tasks("nearest/sigmoid-sigmoid/250-steps", seeds=3)) == 3


def test_packaged_records_are_of_the_grid():
    found = study.read_records(study.RECORDS)[0]
    settings = {each["variant"]: each for each in study.grid()}
    for (name, _), record in found.items():
        assert {key: record[key] for key in settings[name]} == settings[name]
    for name in {name for name, _ in found}:
        seeds = sorted(seed for variant, seed in found if variant == name)
        assert seeds == list(range(len(seeds)))


def layers_kernel(model):
    return model.get_layer("transposed_convolution_1").kernel.numpy()


def test_thinned_curve_keeps_the_first_steps_and_the_total():
    losses = np.random.default_rng(0).random(5000)
    steps, means = study.thin(losses)
    assert steps[:5] == [0, 1, 2, 3, 4]
    assert means[:5] == losses[:5].tolist()
    assert len(steps) <= 60
    edges = np.unique(np.geomspace(1, 5000, 60).astype(int))
    widths = np.diff([0, *edges])
    assert widths.sum() == 5000
    assert np.dot(means, widths) == pytest.approx(losses.sum())


def test_records_are_written_in_the_grids_order(tmp_path, record):
    path = tmp_path / "records.jsonl"
    wanted = [{**record, **task} for task in study.tasks("nearest/*", seeds=2)]
    study.write_records(path, {(r["variant"], r["seed"]): r for r in reversed(wanted)})
    found = [(r.variant, r.seed) for r in study.load(path).itertuples()]
    assert found == [(r["variant"], r["seed"]) for r in wanted]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nowhere"], "'nowhere'.*--list"),
        (["--seeds", "0"], "must be a whole number of 1 or more, got '0'"),
        (["--steps", "many"], "must be a whole number of 1 or more, got 'many'"),
        (["--check", "--out", "missing.jsonl"], "missing.jsonl"),
    ],
)
def test_impossible_options_are_named(tmp_path, monkeypatch, capsys, arguments, message):
    import re

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        study.main(arguments)
    text = f"{stopped.value} {capsys.readouterr().err}"
    assert re.search(message, text, re.S)


def test_folder_that_cannot_be_written_is_named_before_any_run(tmp_path):
    with pytest.raises(SystemExit, match="nowhere"):
        study.main(["--out", str(tmp_path / "nowhere" / "records.jsonl"), "--seeds", "1"])


def test_second_study_on_the_same_file_is_refused(tmp_path):
    path = tmp_path / "records.jsonl"
    with command._alone(path), pytest.raises(SystemExit, match="another study is writing"):
        study.main(["--out", str(path)])


def test_list_shows_what_is_missing(tmp_path, capsys, record):
    path = tmp_path / "records.jsonl"
    study.write_records(path, {(record["variant"], 0): record})
    options = ["--only", SMALL["only"], "--seeds", "1", "--steps", "2"]
    assert study.main(["--list", "--out", str(path), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "missing" not in lines[0]
    assert "missing" in lines[1]


def test_help_explains_itself(capsys):
    with pytest.raises(SystemExit):
        study.main(["--help"])
    text = capsys.readouterr().out
    for option in ("--out", "--only", "--seeds", "--steps", "--list", "--scheduler", "--check"):
        assert option in text


def test_check_compares_a_rerun_with_the_record(tmp_path, record, capsys):
    path = tmp_path / "records.jsonl"
    study.write_records(path, {(record["variant"], 0): record})
    assert study.main(["--check", "--out", str(path)]) == 0
    wrong = {**record, "curve_loss": [2 * loss for loss in record["curve_loss"]]}
    study.write_records(path, {(record["variant"], 0): wrong})
    assert study.main(["--check", "--out", str(path)]) == 1
    assert "the first losses differ by 50.0%" in capsys.readouterr().out
    path.write_text("")
    with pytest.raises(SystemExit, match=r"holds no record of '\*'"):
        study.main(["--check", "--out", str(path)])


@pytest.fixture
def varied(tmp_path, record):
    """Write a file of records of two variants with two seeds, and of one with other steps."""
    path = tmp_path / "records.jsonl"
    made = [{**record, **task} for task in study.tasks(**SMALL)]
    made.append({**record, **study.tasks("strided/relu-linear/*", 1, steps=3)[0]})
    study.write_records(path, {(each["variant"], each["seed"]): each for each in made})
    return path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # The grid's names all end in 200-steps or more: those of the records don't.
        ("--only strided/relu-linear/*", {("strided/relu-linear/2-steps", 0, 2),
                                          ("strided/relu-linear/2-steps", 1, 2)}),
        ("--only strided/relu-linear/2-steps --seeds 1", {("strided/relu-linear/2-steps", 0, 2)}),
        # The very options that made the records.
        ("--only strided/relu-linear/200-steps --seeds 1 --steps 2",
         {("strided/relu-linear/2-steps", 0, 2)}),
        ("--only strided/relu-linear/200-steps --steps 3", {("strided/relu-linear/3-steps", 0, 3)}),
        ("--steps 3", {("strided/relu-linear/3-steps", 0, 3)}),
    ],
)  # fmt: skip
def test_check_compares_like_with_like(varied, monkeypatch, options, expected):
    ran = []
    monkeypatch.setattr(command, "run_task", lambda task: ran.append(task) or read(varied, task))
    assert study.main(["--check", "--out", str(varied), *options.split()]) == 0
    assert {(task["variant"], task["seed"], task["steps"]) for task in ran} == expected
    assert all(task.keys() == study.tasks()[0].keys() for task in ran)


def read(path, task):
    return study.read_records(path)[0][task["variant"], task["seed"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--only strided/relu-linear/200-steps", "no record of 'strided/relu-linear/200-steps'$"),
        ("--steps 4", r"no record of '\*' and steps 4$"),
        ("--only nearest/* --seeds 1", r"no record of 'nearest/\*' and seeds below 1$"),
    ],
)
def test_check_names_what_no_record_is_of(varied, options, message):
    with pytest.raises(SystemExit, match=message):
        study.main(["--check", "--out", str(varied), *options.split()])


def test_check_finds_a_loss_that_is_not_a_number(varied, monkeypatch):
    def diverged(task):
        return {**read(varied, task), "curve_loss": [0.1, float("nan")]}

    monkeypatch.setattr(command, "run_task", diverged)
    assert len(study.check(varied, count=1)) == 1


def test_a_variant_of_an_unknown_net_or_setting_is_named():
    with pytest.raises(ValueError, match=r"net must be one of strided, .*, got 'dense'"):
        study.variant("dense")
    with pytest.raises(ValueError, match=r"settings must be among net, .*steps.*, got rate, width"):
        study.variant("strided", width=3, rate=0.1)


def test_a_worker_finds_the_task_by_its_name():
    # Not in __main__, which is another module in a worker.
    found = pickle.loads(pickle.dumps(study.run_task))
    assert found is study.run_task
    assert found.__module__ == "cae_lessons.study.run"


def test_without_its_packages_an_error_names_them_and_all_else_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it weren't installed
    for name in [name for name in sys.modules if name.startswith("cae_lessons.study")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(cae, "study")
    assert "study" in dir(cae)
    assert not hasattr(cae, "study")
    assert inspect.getmembers(cae)
    with pytest.raises(AttributeError, match=r"cae\.study needs pandas"):
        _ = cae.study


def test_a_cluster_leaves_this_process_its_threads(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = dict(os.environ)
    with connect(workers=1) as client:
        assert client.submit(os.environ.get, "TF_NUM_INTEROP_THREADS").result() == "1"
    assert dict(os.environ) == before
