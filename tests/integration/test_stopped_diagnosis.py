"""A gateway that does not run: ``gateway diagnose`` looks at the modules of its tokens and says what is wrong with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from tests.integration.hosting import prepare
from tests.softhsm import SoftHsm, module

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes


@pytest.fixture
def hsm(tmp_path: Path) -> SoftHsm:
    return SoftHsm(tmp_path / "h").make()


def told(folder: Path, hsm: SoftHsm, **changes: str) -> dict[str, dict[str, Any]]:
    """The findings about tokens, by token, with the settings changed."""
    values = {"module": module(), "label": hsm.label, **changes}
    environment = ", ".join(f'{name} = "{value}"' for name, value in hsm.environment.items())
    if not (folder / "serverconf.sqlite").exists():
        prepare(folder)
    (folder / "settings.toml").write_text(
        f'[[keys.tokens]]\nid = "hsm"\nmodule = "{values["module"]}"\nlabel = "{values["label"]}"\n'
        f"environment = {{ {environment} }}\n"
    )
    # Nobody listens at this address.
    asked = ["diagnose", "--data", str(folder), "--url", "http://127.0.0.1:9/", "--json"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code in (1, 3), result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    return {finding["subject"]: finding for finding in found if finding["code"] == "token"}


def test_a_token_that_is_there_needs_nothing_but_a_start(tmp_path: Path, hsm: SoftHsm) -> None:
    assert set(told(tmp_path / "data", hsm)) == {"0"}


def test_a_token_that_is_gone_is_named_with_its_module_and_label(tmp_path: Path, hsm: SoftHsm) -> None:
    finding = told(tmp_path / "data", hsm, label="another")["hsm"]
    what = finding["es"]["what"]
    assert "El token hsm no se puede usar" in what
    assert "no initialised token with label 'another'" in what


@pytest.mark.xroad("F014")
def test_a_module_that_does_not_load_is_named(tmp_path: Path, hsm: SoftHsm) -> None:
    finding = told(tmp_path / "data", hsm, module="/nowhere/module.so")["hsm"]
    assert "could not open the module" in finding["en"]["what"]


def test_a_module_that_crashes_takes_only_the_look_with_it(tmp_path: Path, hsm: SoftHsm) -> None:
    """Any library that is no PKCS#11 module: what it does when it is taken for one must not end the command."""
    finding = told(tmp_path / "data", hsm, module="/bin/true")["hsm"]
    assert finding["en"]["what"]


def test_a_token_that_the_settings_name_no_more_is_said_to_be_unknown(tmp_path: Path, hsm: SoftHsm) -> None:
    folder = tmp_path / "data"
    told(folder, hsm)
    (folder / "settings.toml").unlink()
    result = CliRunner().invoke(
        main, ["diagnose", "--data", str(folder), "--url", "http://127.0.0.1:9/", "--json"]
    )
    findings = {f["subject"]: f for f in json.loads(result.stdout)["findings"] if f["code"] == "token"}
    assert "no module or folder is set up for it now" in findings["hsm"]["en"]["what"]
