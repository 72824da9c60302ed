"""Folders of ``save_pretrained``: the same numbers as transformers gives, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.base.errors import AssayError, LoadError, UnsafeFileError, UsageError
from assay.data.text_rows import to_rows
from assay.targets.hugging_face.folder import read_folder
from assay.targets.reference import check_reference, load_target, open_model
from assay.targets.text.network import text_network
from assay.targets.text.transformer import library

pytest.importorskip("transformers")

from benchmarks.users.hugging_face import IMAGES, NAMES, TEXTS, save_image_model, save_text_model

SENTENCES = ["the film was good", "bad", "a film was the film", "unknown words too"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("vit", "bert"):
        (save_image_model if name in IMAGES else save_text_model)(name, folder / name)
    return folder


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_answered_as_by_the_processor_and_the_network_of_transformers(name: str, tmp_path: Path) -> None:
    folder = save_image_model(name, tmp_path / name)
    target = open_model(str(folder)).target
    assert (target.input_shape, target.num_classes, target.class_names) == ((3, 32, 32), 4, NAMES)
    transformers = library()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    pixels[0, :, :, 1:], pixels[1, 16:] = 0, 180
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    given = processor(list(pixels), do_resize=False, do_center_crop=False, return_tensors="pt")
    network = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = network(**given).logits
    assert expected.std(dim=0).min() > 1e-4, "the images are told apart"
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(target.logits(images), expected, rtol=1e-4, atol=1e-3 * float(expected.std()))
    assert target.module is not None
    inputs = images.clone().requires_grad_(True)
    target.module(inputs)[:, 0].sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.abs().sum() > 0


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_answered_as_by_the_tokeniser_and_the_network_of_transformers(name: str, tmp_path: Path) -> None:
    folder = save_text_model(name, tmp_path / name)
    target = open_model(str(folder)).target
    assert (target.modality, target.input_shape, target.class_names) == ("text", (1, 1, 512), NAMES)
    transformers = library()
    batch = transformers.AutoTokenizer.from_pretrained(folder)(SENTENCES, padding=True, return_tensors="pt")
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    rows = torch.from_numpy(to_rows(SENTENCES, 512)).float() / 255
    torch.testing.assert_close(target.logits(rows), expected, rtol=1e-4, atol=1e-5)
    inner = text_network(target.module)  # type: ignore[arg-type]
    assert inner is not None
    assert inner.encode(rows).shape == (4, inner.head.in_features)
    assert inner.word_vectors(["film", "good"]).shape[0] == 2


def test_data_of_another_size_are_resized_and_said_so(models: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    arrays = {"x_train": pixels[:30], "y_train": np.arange(30) % 4, "x_test": pixels[30:], "y_test": np.arange(10) % 4}
    np.savez(tmp_path / "grey.npz", **arrays)
    target = load_target(str(models / "vit"), data=str(tmp_path / "grey.npz"))
    assert target.splits.members is not None
    assert target.splits.members.shape == (3, 32, 32)
    (tmp_path / "m.toml").write_text(f'weights = "{models / "vit"}"\ninput_shape = [3, 8, 8]\n')
    inside = load_target(str(tmp_path / "m.toml"), data=str(tmp_path / "grey.npz"))
    assert inside.input_shape == (3, 8, 8)
    assert inside.preprocessing.size == (32, 32)


def test_a_target_file_may_overrule_a_folder(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    whole = f'weights = "{models / "vit"}"\nname = "mine"\nexpected_accuracy = 0.9\n'
    file.write_text(f'{whole}class_names = ["a", "b", "c", "d"]\n[preprocessing]\nscale = 255\n')
    target = open_model(str(file)).target
    assert (target.name, target.class_names, target.preprocessing.scale) == ("mine", ("a", "b", "c", "d"), 255)
    assert target.facts["expected_accuracy"] == 0.9
    assert check_reference(str(file)) is False
    file.write_text(f"{whole}num_classes = 4\n")
    with pytest.raises(UsageError, match="leave out num_classes"):
        open_model(str(file))
    file.write_text(f'weights = "{models / "bert"}"\nmodality = "text"\nmax_bytes = 64\n')
    assert open_model(str(file)).target.input_shape == (1, 1, 64)


def test_the_digest_covers_settings_and_weights(models: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(models / "vit", tmp_path / "vit"))
    before = read_folder(models / "vit").digest()
    assert read_folder(copy).digest() == before
    change(copy / "preprocessor_config.json", do_normalize=False)
    assert read_folder(copy).digest() != before


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


AUTO = {"AutoModel": "modeling_mine.Mine"}
CONFIGS = {
    "remote code": ({"auto_map": AUTO}, UnsafeFileError, "asks for code of its own"),
    "an adapter of attention": ({"backbone_config": {"auto_map": AUTO}}, UnsafeFileError, "asks for code"),
    "quantised": ({"quantization_config": {"bits": 4}}, LoadError, "quantised weights"),
    "several labels": ({"problem_type": "multi_label_classification"}, LoadError, "multi label classification"),
    "detection": ({"architectures": ["DetrForObjectDetection"]}, LoadError, "names a DetrForObjectDetection"),
    "nothing": ({"architectures": None}, LoadError, "names no architecture"),
    "unheard of": ({"architectures": ["NewForImageClassification"]}, LoadError, "does not have"),
    "other classes": ({"id2label": {"0": "a", "1": "b"}}, LoadError, "cannot be opened by transformers"),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_configurations_that_are_refused(what: str, models: Path, tmp_path: Path) -> None:
    changes, kind, sentence = CONFIGS[what]
    copy = Path(shutil.copytree(models / "vit", tmp_path / "vit"))
    change(copy / "config.json", **changes)
    with pytest.raises(kind, match=sentence) as caught:
        open_model(str(copy))
    assert "\n" not in str(caught.value)


def test_weights_that_are_refused(models: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(models / "vit", tmp_path / "vit"))
    weights = copy / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(LoadError, match="cannot be opened by transformers"):
        open_model(str(copy))
    weights.unlink()
    with pytest.raises(LoadError, match=r"holds no weights: model\.safetensors is missing"):
        open_model(str(copy))
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(UnsafeFileError, match=r"ViTForImageClassification as M; M\.from_pretrained\('\.'\)\.save_pre"):
        open_model(str(copy))
    index = {"weight_map": {"a": "pytorch_model.bin"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UnsafeFileError, match="must be safetensors files of the same folder"):
        open_model(str(copy))
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(LoadError, match="adapter of another model"):
        open_model(str(copy))


def test_a_pickle_beside_safetensors_is_not_opened(models: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(models / "vit", tmp_path / "vit"))
    (copy / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    assert open_model(str(copy)).target.num_classes == 4


def test_a_classifier_that_was_never_saved_is_named(models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(models / "vit", tmp_path / "vit"))
    tensors = load_file(copy / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in tensors.items() if "classifier" not in name}, copy / "model.safetensors"
    )
    with pytest.raises(LoadError, match=r"lack classifier\.bias and 1 more: the classifier was not trained"):
        open_model(str(copy))


def test_weights_in_shards_are_read(models: Path, tmp_path: Path) -> None:
    network = library().AutoModelForImageClassification.from_pretrained(models / "vit")
    network.save_pretrained(tmp_path / "vit", max_shard_size="10KB")
    shutil.copy(models / "vit" / "preprocessor_config.json", tmp_path / "vit")
    assert len(read_folder(tmp_path / "vit").weights) > 1
    images = torch.rand(2, 3, 32, 32)
    ours, whole = (open_model(str(folder)).target.logits(images) for folder in (tmp_path / "vit", models / "vit"))
    torch.testing.assert_close(ours, whole)


def test_preprocessing_that_is_unknown_or_more_than_ours(models: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(models / "vit", tmp_path / "vit"))
    processor = copy / "preprocessor_config.json"
    change(processor, image_processor_type="EfficientNetImageProcessor", rescale_offset=True, include_top=True)
    with pytest.raises(LoadError, match="does more than scale, normalise and swap channels"):
        open_model(str(copy))
    processor.unlink()
    with pytest.raises(UsageError, match=r"has no preprocessor_config\.json"):
        open_model(str(copy))
    (copy.parent / "m.toml").write_text('weights = "vit"\n[preprocessing]\nmean = [0.5]\nstd = [0.5]\n')
    assert open_model(str(copy.parent / "m.toml")).target.input_shape == (3, 32, 32)


def test_a_text_model_needs_its_tokeniser(models: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(models / "bert", tmp_path / "bert"))
    (copy / "tokenizer.json").unlink()
    with pytest.raises(LoadError, match="AutoTokenizer as T"):
        open_model(str(copy))


def test_other_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a folder without a config\.json"):
        open_model(str(tmp_path))
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UnsafeFileError, match=r"tf2onnx\.convert --saved-model"):
        open_model(str(tmp_path))
    (tmp_path / "config.json").write_text("[]")
    (tmp_path / "saved_model.pb").unlink()
    with pytest.raises(AssayError, match="not a JSON object"):
        open_model(str(tmp_path))
