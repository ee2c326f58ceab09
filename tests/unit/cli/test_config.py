import pytest

from forgetwell.cli.config import expand
from forgetwell.errors import InputError, MissingError


def test_a_file_gives_flags_and_typed_ones_win(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('model = "smollm2"\nmax_steps = 3\nlr = 2e-5\noverwrite = true\nresume = false\n')
    found = expand(["unlearn", "--config", str(path), "--max-steps", "5"])
    assert found == [
        "unlearn", "--max-steps", "5", "--model=smollm2", "--lr=2e-05", "--overwrite", "--no-resume"
    ]  # fmt: skip


def test_a_file_is_named_once_with_or_without_an_equals_sign(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("max_steps = 3\n")
    assert expand(["unlearn", f"--config={path}"]) == ["unlearn", "--max-steps=3"]
    with pytest.raises(InputError, match="--config was given 2 times"):
        expand(["unlearn", f"--config={path}", "--config", str(path)])


def test_without_a_file_nothing_changes():
    assert expand(["list", "--json"]) == ["list", "--json"]


def test_values_that_look_like_flags_stay_values(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('request = "--overwrite"\n')
    assert expand(["unlearn", "--config", str(path)]) == ["unlearn", "--request=--overwrite"]


@pytest.mark.parametrize("text", ["[table]\na = 1\n", "a = \n", "\ufeff?"])
def test_other_files_get_a_plain_message(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"run\.toml"):
        expand(["unlearn", "--config", str(path)])
    with pytest.raises(MissingError):
        expand(["unlearn", "--config", str(tmp_path / "no.toml")])
    with pytest.raises(InputError, match="needs a file"):
        expand(["unlearn", "--config"])
