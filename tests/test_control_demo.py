"""`keystore control demo`: the story of a revoked key comes out as told, and leaves nothing behind, however it ends."""

import json
import signal
import smtplib
import subprocess
from pathlib import Path

import pytest

from keystore.demo.mailbox import MAIL_BYTES_MAX, Mailbox
from tests.cli.running import TIMEOUT_S
from tests.test_demo import Place

COMMAND = ("control", "demo")


def test_the_key_goes_and_comes_back(tmp_path: Path) -> None:
    place = Place(tmp_path)
    code, out, err = place.run("--json", command=COMMAND)
    assert (code, err) == (0, "")
    told = json.loads(out)
    # The queue may be worked off in a moment in which nobody looks.
    assert [state for state in told["states"] if state != "UPDATING"] == ["CREATING", "IDLE", "DISABLED", "IDLE"]
    assert told["mails"] == 1
    assert told["mail"]["to"] == "owner@example.org"
    assert "  - orders" in told["mail"]["text"].splitlines()
    assert told["refused"] == ["ENCRYPTION_AT_REST_SETTINGS_INVALID"] * 2
    assert told["alerts"] == {
        "AWS_ENCRYPTION_KEY_INVALID": "CLOSED",
        "ENCRYPTION_AT_REST_CONFIG_NO_LONGER_VALID": "CLOSED",
    }
    assert told["cluster"]["diskSizeGB"] == 40
    events = [name for name in told["events"] if name in ("CLUSTER_INSTANCE_DISABLED", "CLUSTER_INSTANCE_ENABLED")]
    assert events == ["CLUSTER_INSTANCE_DISABLED", "CLUSTER_INSTANCE_ENABLED"]
    place.assert_empty()


def test_what_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.start(command=COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line.decode().rstrip("\n"))
            if "CREATING" in lines[-1]:
                break
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=TIMEOUT_S)
    assert (running.returncode, err.decode()) == (143, "error: ended by SIGTERM; nothing is half done.\n")
    assert lines[0].startswith("keystore control demo: ")
    assert any("project shop gets a key" in line and line.endswith("VALID") for line in lines)
    assert max(map(len, lines)) < 80
    place.assert_empty()


def test_the_mailbox_keeps_what_it_takes() -> None:
    with Mailbox() as mailbox:
        host, _, port = mailbox.address.partition(":")
        sender = smtplib.SMTP(host, int(port))
        text = "first\r\n.begins with a dot\r\n..and two\r\n"
        sender.sendmail("from@example.org", ["to@example.org"], f"Subject: hello\r\nTo: to@example.org\r\n\r\n{text}")
        (mail,) = mailbox.taken
        assert (mail["Subject"], mail["To"]) == ("hello", "to@example.org")
        assert mail.get_content().splitlines() == text.splitlines()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            sender.sendmail("from@example.org", ["to@example.org"], b"x\r\n" * MAIL_BYTES_MAX)
        assert len(mailbox.taken) == 1
