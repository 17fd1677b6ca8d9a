from ksh_studio.cli import doctor
from ksh_studio.models.device import DeviceInfo

CPU = DeviceInfo("cpu", "CPU", 0.0, True, "2.13.0+cpu", False)


def test_it_says_what_is_there_in_both_languages(workspace):
    told = {finding.key: finding for finding in doctor.findings(workspace)}
    assert "doctor.python" in told
    assert told["doctor.models"].values == {"base": "pocket", "captioner": "pocket"}
    assert str(workspace.root) in told[next(key for key in told if key.endswith("disk"))].text("ko")


def test_a_card_that_torch_cannot_use_gets_the_command_that_mends_it(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "--index-url https://download.pytorch.org/whl/" in doctor._device(CPU).text("en")
    built = DeviceInfo("cpu", "CPU", 0.0, True, "2.13.0", True)
    assert "Update the driver" in doctor._device(built).text("en")


def test_without_torch_it_says_how_to_install(workspace, monkeypatch):
    monkeypatch.setattr(doctor, "probe", lambda: DeviceInfo("cpu", "CPU", 0.0, False, "", False))
    assert "doctor.no_torch" in [finding.key for finding in doctor.findings(workspace)]


def test_a_pillow_with_known_holes_is_named_and_a_mended_one_is_not(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda name: "12.3.0")
    (finding,) = doctor._pillow()
    assert "12.3.0" in finding.text("ko") and "CVE-2026-96639" in finding.text("en")
    monkeypatch.setattr(doctor, "version", lambda name: "13.0.0")
    assert list(doctor._pillow()) == []
