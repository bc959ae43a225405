"""What is handed to others beside packages: rules, a dashboard, an image, manifests. Read by the programs they are for."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import pytest
import yaml

from central_server.cli.main import main as central_command
from central_server.config import load as load_central
from deploy.questions import QUESTIONS, render_questions
from gateway.cli.main import main as gateway_command
from gateway.settings.config import load as load_gateway
from serving.config.settingtable import shown
from serving.storage.postgres import CONNECTIONS_OF_NODE
from tests.paths import PROJECT
from tests.programs import need

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY = PROJECT / "deploy"
SCRIPTS = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
METRIC = re.compile(r"\bsacbe_[a-z_]+")


def written_names() -> set[str]:
    """The metrics that the servers tell, by the words of their sources."""
    found = {"sacbe_build_info"}
    for path in ("gateway/server", "central_server/publication", "serving/api", "social_security/wire"):
        for file in (PROJECT / path).glob("metrics.py"):
            text = file.read_text(encoding="utf-8")
            found |= {f"sacbe_{n}" for n in re.findall(r'(?:single|Gauge)\(\s*"([a-z_]+)"', text)}
            found |= {f"sacbe_{n}_total" for n in re.findall(r'counter\(\s*"([a-z_]+)"', text)}
    return found


@pytest.mark.xroad("F118", "F119")
def test_the_alert_rules_are_rules_and_say_what_they_should() -> None:
    promtool = need("promtool", package="prometheus")
    for words in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]):
        done = subprocess.run(
            [promtool, *words],
            cwd=DEPLOY / "monitoring",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.xroad("F118")
def test_rules_and_dashboard_ask_for_nothing_that_no_server_tells() -> None:
    dashboard = (DEPLOY / "monitoring" / "dashboard.json").read_text(encoding="utf-8")
    rules = (DEPLOY / "monitoring" / "alerts.yaml").read_text(encoding="utf-8")
    asked = set(METRIC.findall(dashboard)) | set(METRIC.findall(rules))
    assert len(asked) > 15
    assert asked - written_names() == set()
    panels = json.loads(dashboard)["panels"]
    assert len({p["id"] for p in panels}) == len(panels)


def entry_point(words: list[str]) -> str:
    """The console script or module that a command begins with."""
    if words[:2] == ["python", "-m"]:
        name = words[2].replace(".", "/")
        assert (PROJECT / f"{name}.py").exists() or (PROJECT / name / "__main__.py").exists(), words
        return words[2]
    assert words[0] in SCRIPTS, words
    return words[0]


def test_the_federation_of_the_compose_file_runs_programs_of_ours_and_is_probed() -> None:
    made = yaml.safe_load((DEPLOY / "oci" / "compose.yaml").read_text(encoding="utf-8"))
    services = made["services"]
    assert {"ca", "central", "gateway"} <= set(services)
    for name, service in services.items():
        words = service["command"]
        lines = shlex.split(words) if isinstance(words, str) else shlex.split(words[0].replace("\\\n", " "))
        if isinstance(words, str):
            entry_point(lines)
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        if not name.endswith("-made"):
            assert service["healthcheck"]["test"][0] == "CMD"
        for other in service.get("depends_on", {}):
            assert other in services
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in made["volumes"]


def test_the_image_copies_what_the_wheel_holds_and_serves_as_nobody_special() -> None:
    text = (DEPLOY / "oci" / "Dockerfile").read_text(encoding="utf-8")
    wheel = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    for package in wheel["build"]["targets"]["wheel"]["packages"]:
        assert f"COPY {package} {package}\n" in text
    assert (
        "docker.io/library/debian:" in text
    )  # the system the packages are for: its Python, its security updates
    assert "--require-hashes" in text
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    (command,) = re.findall(r"^CMD (.*)$", text, re.MULTILINE)
    assert entry_point(json.loads(command)) == "gateway"


def test_the_image_holds_the_client_of_postgresql_as_the_tests_have_it() -> None:
    text = (DEPLOY / "oci" / "Dockerfile").read_text(encoding="utf-8")
    assert "-r requirements/postgres.txt" in text
    pinned = (PROJECT / "requirements" / "postgres.txt").read_text(encoding="utf-8")
    assert re.findall(r"^([a-z-]+)==", pinned, re.MULTILINE) == ["psycopg", "psycopg-binary"]
    assert pinned in (PROJECT / "requirements" / "dev.txt").read_text(encoding="utf-8")


@pytest.mark.xroad("F004")
def test_what_the_image_copies_is_enough_to_build_the_wheel(tmp_path: Path) -> None:
    text = (DEPLOY / "oci" / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        *sources, place = line.split()
        for source in (PROJECT / name for name in sources):
            if source.is_dir():
                shutil.copytree(source, tmp_path / place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target = tmp_path / place if len(sources) == 1 else tmp_path / place / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as held:
        names = set(held.namelist())
    assert "serving/locale/es/LC_MESSAGES/sacbe.mo" in names
    assert {f"{package}/__init__.py" for package in ("gateway", "central_server", "social_security")} <= names


def test_every_port_that_the_compose_file_publishes_is_listened_on_outside_of_its_container() -> None:
    made = yaml.safe_load((DEPLOY / "oci" / "compose.yaml").read_text(encoding="utf-8"))
    for name, load, prefix in (
        ("central", load_central, "SACBE_CENTRAL"),
        ("gateway", load_gateway, "SACBE_GATEWAY"),
    ):
        service = made["services"][name]
        assert any(port.endswith(":4000") for port in service["ports"])
        settings = load(None, service["environment"])
        assert settings.admin.host == "0.0.0.0", f"{prefix}_ADMIN_HOST"


@pytest.mark.xroad("F005")
def test_the_manifests_are_put_together_and_every_server_is_probed() -> None:
    folder = DEPLOY / "kubernetes"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    listed = kustomization["resources"]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [image["newTag"] for image in kustomization["images"]] == [project["version"]]
    assert {f.name for f in folder.glob("*.yaml")} == {"kustomization.yaml", *listed}
    objects = [o for f in listed for o in yaml.safe_load_all((folder / f).read_text(encoding="utf-8")) if o]
    kubectl = shutil.which("kubectl")
    if kubectl is not None:  # where it is, it puts them together itself
        done = subprocess.run(
            [kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len([o for o in yaml.safe_load_all(done.stdout) if o]) == len(objects)
    servers = [o for o in objects if o["kind"] == "StatefulSet"]
    assert {s["metadata"]["name"] for s in servers} == {"gateway", "central"}
    for server in servers:
        spec = server["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
        named = {p["name"] for p in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[probe].get("httpGet") or container[probe]["tcpSocket"]
            assert asked["port"] in named
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        (line,) = [one for one in container["args"][0].splitlines() if one.startswith("exec ")]
        entry_point(shlex.split(line)[1:])
        services = [o for o in objects if o["kind"] == "Service"]
        shown = next(s for s in services if s["metadata"]["name"] == server["metadata"]["name"])
        assert {p["targetPort"] for p in shown["spec"]["ports"]} <= named
        for entry in container["env"]:
            check_setting(entry["name"], entry["value"])


@pytest.mark.xroad("F005")
def test_the_manifests_of_several_nodes_change_the_gateway_alone_and_name_its_database() -> None:
    folder = DEPLOY / "kubernetes-nodes"
    made = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    (base, other), (patch,) = made["resources"], made["patches"]
    assert (folder / base).resolve() == DEPLOY / "kubernetes"
    node = yaml.safe_load((folder / patch["path"]).read_text(encoding="utf-8"))
    first = next(yaml.safe_load_all((folder / base / "gateway.yaml").read_text(encoding="utf-8")))
    assert all(node[key] == first[key] for key in ("apiVersion", "kind"))
    assert node["metadata"]["name"] == first["metadata"]["name"]
    assert node["spec"]["replicas"] > 2
    pod, (container,) = node["spec"]["template"]["spec"], node["spec"]["template"]["spec"]["containers"]
    (single,) = first["spec"]["template"]["spec"]["containers"]
    assert container["name"] == single["name"]
    environ = {entry["name"]: entry.get("value", "") for entry in [*single["env"], *container["env"]]}
    settings = load_gateway(None, {k: v for k, v in environ.items() if k.startswith("SACBE_GATEWAY")})
    assert 0 < settings.listen.drain_s < pod["terminationGracePeriodSeconds"]
    (line,) = [one for one in container["args"][0].splitlines() if one.startswith("exec ")]
    entry_point(shlex.split(line)[1:])
    # The database that the settings name is the one beside it, with room for every node's connections, and its password the secret's.
    stateful, service = yaml.safe_load_all((folder / other).read_text(encoding="utf-8"))
    database = urlsplit(settings.node.database)
    (server,) = stateful["spec"]["template"]["spec"]["containers"]
    assert (database.hostname, database.port) == (
        service["metadata"]["name"],
        service["spec"]["ports"][0]["port"],
    )
    given = {entry["name"]: entry["value"] for entry in server["env"]}
    assert (database.username, database.path) == (given["POSTGRES_USER"], f"/{given['POSTGRES_DB']}")
    (most,) = [int(word.partition("=")[2]) for word in server["args"] if word.startswith("max_connections")]
    assert most >= CONNECTIONS_OF_NODE * node["spec"]["replicas"] * 2  # while pods are replaced
    assert {"fsync=on", "synchronous_commit=on"} <= set(server["args"])
    (secret,) = made["secretGenerator"]
    referred = next(e["valueFrom"]["secretKeyRef"] for e in container["env"] if e["name"] == "PGPASSWORD")
    assert (referred["name"], referred["key"]) == (secret["name"], secret["files"][0])
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(server)
    assert server["securityContext"]["capabilities"]["drop"] == ["ALL"]


@pytest.mark.xroad("F005")
def test_kustomize_puts_the_manifests_of_several_nodes_together(tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    for name in ("kubernetes", "kubernetes-nodes"):
        shutil.copytree(DEPLOY / name, tmp_path / name)
    (tmp_path / "kubernetes-nodes" / "password").write_text("secret", encoding="utf-8")
    done = subprocess.run(
        [kubectl, "kustomize", str(tmp_path / "kubernetes-nodes")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    objects = [o for o in yaml.safe_load_all(done.stdout) if o]
    (gateway,) = [o for o in objects if o["kind"] == "StatefulSet" and o["metadata"]["name"] == "gateway"]
    (container,) = gateway["spec"]["template"]["spec"]["containers"]
    assert {"SACBE_GATEWAY_NODE_DATABASE", "SACBE_GATEWAY_LISTEN_DRAIN_S", "PGPASSWORD"} <= {
        entry["name"] for entry in container["env"]
    }
    budget = next(
        o for o in objects if o["kind"] == "PodDisruptionBudget" and o["metadata"]["name"] == "gateway"
    )
    assert budget["spec"]["maxUnavailable"] < gateway["spec"]["replicas"]
    check_identity(gateway, [o for o in objects if o["kind"] == "Service"])
    labels = gateway["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    # Every secret that a pod refers to is made by the same command, and none stands in a manifest in clear.
    secrets = {o["metadata"]["name"]: set(o["data"]) for o in objects if o["kind"] == "Secret"}
    assert {
        (e["valueFrom"]["secretKeyRef"]["name"], e["valueFrom"]["secretKeyRef"]["key"])
        for e in container["env"]
        if "secretKeyRef" in e.get("valueFrom", {})
    } <= {(name, key) for name, keys in secrets.items() for key in keys}
    assert not [e for e in container["env"] if "PASSWORD" in e["name"] and "value" in e]


def check_identity(gateway: dict[str, Any], services: list[dict[str, Any]]) -> None:
    """A pod keeps its name, as a node and on its volume, and the ports that peers know, and is asked whether it is ready."""
    (container,) = gateway["spec"]["template"]["spec"]["containers"]
    (name,) = [e for e in container["env"] if e["name"] == "SACBE_GATEWAY_NODE_NAME"]
    assert name["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert {claim["metadata"]["name"] for claim in gateway["spec"]["volumeClaimTemplates"]} <= mounted
    by_name = {service["metadata"]["name"]: service["spec"] for service in services}
    assert gateway["spec"]["serviceName"] in by_name
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    shown = {
        port["port"]: ports.get(port["targetPort"], port["targetPort"])
        for port in by_name["gateway"]["ports"]
    }
    assert (shown[5500], shown[5577]) == (5500, 5577)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe].get("httpGet") or container[probe]["tcpSocket"]
        assert asked["port"] in ports
    # A pod that is to go is seen not to be ready, and not ended, while it drains.
    assert "httpGet" in container["readinessProbe"]


def check_setting(name: str, value: str) -> None:
    load = load_central if name.startswith("SACBE_CENTRAL") else load_gateway
    load(None, {name: value})


@pytest.mark.parametrize(
    "name", ["backup", "server.postinst", "server.prerm", "server.postrm", "tools.postinst", "tools.prerm"]
)
def test_scripts_of_packages_are_shell_that_parses(name: str) -> None:
    done = subprocess.run(
        ["sh", "-n", str(DEPLOY / "debian" / name)], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.xroad("F001", "F021")
@pytest.mark.parametrize(("folder", "load"), [("gateway", load_gateway), ("central", load_central)])
def test_every_answer_that_a_package_asks_for_is_a_setting_with_its_default(folder: str, load: Any) -> None:
    text = (DEPLOY / "debian" / f"{folder}.env").read_text(encoding="utf-8") + render_questions(folder)
    assert {line[0] for line in text.splitlines() if not line.startswith("OPTIONS=")} == {"#"}
    prefix = QUESTIONS[folder][1]
    answers = dict(line[1:].split("=", 1) for line in text.splitlines() if line.startswith(f"#{prefix}_"))
    assert len(answers) >= 5
    assert load(None, answers) == load(None, {})
    for name in answers:
        with pytest.raises(Exception, match="names no setting"):
            load(None, {f"{name}_MISTYPED": "1"})


@pytest.mark.xroad("F021")
@pytest.mark.parametrize(
    ("folder", "program", "command"),
    [("gateway", gateway_command, "init"), ("central", central_command, "bootstrap")],
)
def test_what_a_package_says_to_have_ready_are_options_of_the_command(
    folder: str, program: click.Group, command: str
) -> None:
    options = {o for p in program.commands[command].params for o in p.opts}
    assert set(re.findall(r"--[a-z]+", QUESTIONS[folder][0])) <= options


@pytest.mark.parametrize(("folder", "load"), [("gateway", load_gateway), ("central", load_central)])
def test_every_setting_that_is_no_table_can_be_given_by_the_environment(folder: str, load: Any) -> None:
    _, prefix, table, _ = QUESTIONS[folder]
    plain = [name for name in table.settings if table.is_plain(name)]
    written = {f"{prefix}_{n.replace('.', '_').upper()}": shown(table.defaults[n]) for n in plain}
    assert load(None, written) == load(None, {})
    free = {
        "notices.recipients",
        "backup.recipients",
        "log.archive_command",
    }  # of any words
    for name in free & set(plain):
        taken = table.flatten(load(None, {f"{prefix}_{name.replace('.', '_').upper()}": "x=y, z=w"}))
        assert taken[name] == ("x=y", "z=w")


def test_a_server_that_asks_nothing_has_nothing_to_answer() -> None:
    assert render_questions("social-security") == ""
