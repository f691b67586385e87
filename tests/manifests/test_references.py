"""What schemas cannot say: that names lead somewhere, that pods fit their nodes, that nothing is cut off."""

import importlib.util
import re
from typing import Any

import pytest
import yaml

from config import profile
from config.environment import CHECKOUT
from deployments.kubernetes import parts
from tests.manifests.conftest import Object, pods

MADE_BY_OPERATORS = {
    "Secret": {"eservice-tls"},  # cert-manager, from the Certificate
    "Service": {"eservice-gateway-istio"},  # Istio, for the Gateway that KubeRay makes: <RayService>-gateway
}
RUN_TO_THE_END = ("Job/", "submitterPodTemplate")
SECRET_KEYS = {
    "DATABASE_URL",
    "REDIS_URL",
    "MILVUS_URI",
    "ESERVICE_SECRET_KEY",
    "ESERVICE_KEY_ENCRYPTION_KEY",
}


def names(objects: list[Object], kind: str) -> set[str]:
    return {o["metadata"]["name"] for o in objects if o["kind"] == kind}


def mentioned(value: Any, key: str) -> set[str]:
    """Every string, or `name` of a mapping, that stands under `key` anywhere."""
    if isinstance(value, list):
        return set().union(*(mentioned(each, key) for each in value))
    if not isinstance(value, dict):
        return set()
    found = value.get(key)
    here = (
        {found}
        if isinstance(found, str)
        else {found["name"]}
        if isinstance(found, dict) and "name" in found
        else set()
    )
    return here.union(*(mentioned(each, key) for each in value.values()))


def service(objects: list[Object]) -> Object:
    return next(o for o in objects if o["kind"] == "RayService")


def groups(objects: list[Object]) -> dict[str, Object]:
    return {g["groupName"]: g for g in service(objects)["spec"]["rayClusterConfig"]["workerGroupSpecs"]}


def deployments(objects: list[Object]) -> list[Object]:
    config = yaml.safe_load(service(objects)["spec"]["serveConfigV2"])
    return list(config["applications"][0]["deployments"])


def test_every_secret_and_configmap_exists(objects: list[Object]) -> None:
    secrets = {o["spec"]["target"]["name"] for o in objects if o["kind"] == "ExternalSecret"}
    secrets |= MADE_BY_OPERATORS["Secret"]
    for key in ("secretRef", "secretKeyRef", "secretName", "credentialName", "redisSecret"):
        assert mentioned(objects, key) <= secrets, key
    assert mentioned(objects, "configMapRef") | mentioned(objects, "configMapKeyRef") <= names(
        objects, "ConfigMap"
    )
    assert mentioned(objects, "claimName") <= names(objects, "PersistentVolumeClaim")
    assert mentioned(objects, "serviceAccountName") <= names(objects, "ServiceAccount")


def test_the_plain_example_has_every_secret_and_key(objects: list[Object]) -> None:
    text = (CHECKOUT / "kuberay" / "examples" / "secrets.yaml").read_text()
    example = {each["metadata"]["name"]: each["stringData"] for each in yaml.safe_load_all(text)}
    assert set(example) == {o["spec"]["target"]["name"] for o in objects if o["kind"] == "ExternalSecret"}
    hosted = {each.api_key_env for each in profile.load("prod").llm.providers if each.api_key_env}
    assert SECRET_KEYS | hosted <= set(example["eservice"])
    assert set(example["eservice-ray-token"]) == {"auth_token"}
    assert set(example["eservice-redis"]) == {"password"}


def test_every_port_named_by_a_probe_or_monitor_exists(objects: list[Object]) -> None:
    declared = set()
    for path, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
            assert len(set(ports.values())) == len(ports), path
            declared |= set(ports) if "RayService" in path else set()
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                assert port is None or isinstance(port, int) or port in ports, f"{path}: {probe} asks {port}"
    monitors = [o for o in objects if o["kind"] == "PodMonitor"]
    assert {each["port"] for o in monitors for each in o["spec"]["podMetricsEndpoints"]} <= declared


def test_every_label_that_is_selected_by_is_on_a_pod(objects: list[Object]) -> None:
    labels = [pod["metadata"]["labels"] for _, pod in pods(objects)]
    for each in objects:
        if each["kind"] not in {"PodDisruptionBudget", "PodMonitor"}:
            continue
        wanted = each["spec"]["selector"]["matchLabels"].items()
        assert any(wanted <= had.items() for had in labels), each["metadata"]["name"]
    for each in (o for o in objects if o["kind"] == "NetworkPolicy"):
        for key, values in re.findall(r"'key': '(eservice/\w+)'.*?'values': \[(.*?)\]", str(each["spec"])):
            for value in values.replace("'", "").split(", "):
                assert any(had.get(key) == value for had in labels), f"{each['metadata']['name']}: {value}"


def test_every_pool_has_a_disruption_budget(objects: list[Object]) -> None:
    covered = {
        o["spec"]["selector"]["matchLabels"]["eservice/pool"]
        for o in objects
        if o["kind"] == "PodDisruptionBudget"
    }
    assert covered == set(groups(objects))


def test_traffic_leads_to_the_gateway_that_kuberay_makes(objects: list[Object]) -> None:
    gateway = service(objects)["spec"]["upgradeStrategy"]["clusterUpgradeOptions"]["gatewayClassName"]
    hosts = {host for host in mentioned(objects, "host") if not host.startswith("0.")}
    assert hosts == {f"eservice-gateway-{gateway}"} <= MADE_BY_OPERATORS["Service"]
    (certificate,) = (o for o in objects if o["kind"] == "Certificate")
    (route,) = (o for o in objects if o["kind"] == "VirtualService")
    assert certificate["spec"]["dnsNames"] == route["spec"]["hosts"]
    policies = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "NetworkPolicy"}
    assert "eservice-gateway" in str(policies["requests"])
    assert policies["default-deny"]["podSelector"] == {}
    assert set(policies["default-deny"]["policyTypes"]) == {"Ingress", "Egress"}


def test_tls_is_1_3(objects: list[Object]) -> None:
    (gateway,) = (
        o for o in objects if o["apiVersion"].startswith("networking.istio.io") and o["kind"] == "Gateway"
    )
    for server in gateway["spec"]["servers"]:
        tls = server["tls"]
        assert tls.get("minProtocolVersion") == "TLSV1_3" or tls.get("httpsRedirect")


def test_every_container_is_bounded_probed_and_confined(objects: list[Object]) -> None:
    for path, pod in pods(objects):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"], path
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, path
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            where = f"{path}/{container['name']}"
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][kind]), where
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"], where
            assert not confined["allowPrivilegeEscalation"], where
            assert confined["capabilities"] == {"drop": ["ALL"]}, where
            mounts = {mount["name"] for mount in container.get("volumeMounts", ())}
            assert mounts <= {volume["name"] for volume in spec["volumes"]}, where
            if not any(part in path for part in RUN_TO_THE_END):
                assert {"livenessProbe", "readinessProbe"} <= set(container), where


def test_only_the_head_may_speak_to_kubernetes(objects: list[Object]) -> None:
    for path, pod in pods(objects):
        if pod["spec"]["serviceAccountName"] != "eservice-head":
            assert pod["spec"]["automountServiceAccountToken"] is False, path
    (role,) = (o for o in objects if o["kind"] == "Role")
    for rule in role["rules"]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert "secrets" not in rule["resources"]


PLURALS = {"NetworkPolicy": "networkpolicies"}


def test_whoever_deploys_may_apply_what_a_release_is_and_no_more(objects: list[Object]) -> None:
    (role,) = (o for o in objects if o["kind"] == "Role")
    may: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                may.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    applied = {plural(each) for each in objects if each["kind"] in {*parts.RELEASE, *parts.MIGRATION}}
    applied.add("ray.io/rayjobs")  # kuberay/deploy/reindex.sh
    changed = {name for name, verbs in may.items() if verbs & {"create", "patch", "update", "delete"}}
    assert changed == applied
    assert all({"get", "create", "patch"} <= may[name] for name in applied)
    deleted = {name for name, verbs in may.items() if "delete" in verbs}
    assert deleted == {"batch/jobs", "ray.io/rayjobs"}, "which are made anew, since they cannot be changed"


def plural(thing: Object) -> str:
    """As a Role names it: group and plural."""
    group = thing["apiVersion"].rpartition("/")[0]
    return f"{group}/{PLURALS.get(thing['kind'], thing['kind'].lower() + 's')}"


def test_everything_is_applied_by_somebody(objects: list[Object]) -> None:
    text = "---\n".join(yaml.safe_dump(each, sort_keys=False) for each in objects)
    divided = [parts.of(text, kinds) for kinds in (parts.MIGRATION, parts.RELEASE, parts.PLATFORM)]
    found = [each["kind"] for part in divided for each in yaml.safe_load_all(part)]
    assert set(found) == {each["kind"] for each in objects}
    with pytest.raises(parts.UnknownKind, match="Deployment"):
        parts.of("kind: Deployment\n", parts.RELEASE)


def test_every_gpu_worker_can_be_scheduled_on_its_pool(objects: list[Object]) -> None:
    for name, group in groups(objects).items():
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        assert gpus == container["resources"]["requests"].get("nvidia.com/gpu"), name
        assert ("-gpu" in container["image"]) == bool(gpus), f"{name}: its image and its hardware differ"
        if gpus:
            assert spec["nodeSelector"]["nvidia.com/gpu.product"].startswith("NVIDIA-"), name
            assert any(each["key"] == "nvidia.com/gpu" for each in spec["tolerations"]), name
        else:
            assert "tolerations" not in spec, f"{name} would take a GPU node from those who need it"
        shm = next(volume for volume in spec["volumes"] if volume["name"] == "shm")
        assert shm["emptyDir"]["medium"] == "Memory"


def test_every_deployment_fits_a_worker_of_its_pool(objects: list[Object]) -> None:
    pools: dict[str, list[dict[str, float]]] = {}
    for group in groups(objects).values():
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        size = {"CPU": float(limits["cpu"]), "GPU": float(limits.get("nvidia.com/gpu", 0))}
        pools.setdefault(group["labels"]["pool"], []).append(size)
    for each in deployments(objects):
        options = each.get("ray_actor_options", {})
        if "placement_group_bundles" in each:
            need, pool = each["placement_group_bundles"][0], each["placement_group_bundle_label_selector"][0]
        else:
            need = {"CPU": options.get("num_cpus", 1), "GPU": options.get("num_gpus", 0)}
            pool = options["label_selector"]
        sizes = pools[pool["pool"]]
        assert any(all(size[k] >= v for k, v in need.items()) for size in sizes), each["name"]


def test_the_pools_hold_the_least_and_the_most_that_serve_may_want(objects: list[Object]) -> None:
    """GPUs by their number; CPUs are shared by time, and the autoscaler adds what is missing."""
    by_pool: dict[str, float] = {}
    for group in groups(objects).values():
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        gpus = float(limits.get("nvidia.com/gpu", 0)) * group["maxReplicas"]
        by_pool[group["labels"]["pool"]] = by_pool.get(group["labels"]["pool"], 0) + gpus
    need: dict[str, float] = {}
    for each in deployments(objects):
        options, most = each.get("ray_actor_options", {}), each["autoscaling_config"]["max_replicas"]
        if "placement_group_bundles" in each:
            need["llm"] = need.get("llm", 0) + most * each["placement_group_bundles"][0]["GPU"]
        elif gpus := options.get("num_gpus"):
            pool = options["label_selector"]["pool"]
            need[pool] = need.get(pool, 0) + most * gpus
    for pool, gpus in need.items():
        assert by_pool[pool] >= gpus, f"{pool} can grow to {by_pool[pool]} GPUs, Serve may want {gpus}"


def test_the_quota_holds_two_clusters_side_by_side(objects: list[Object]) -> None:
    (quota,) = (o for o in objects if o["kind"] == "ResourceQuota")
    gpus = cpus = 0.0
    for group in groups(objects).values():
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        gpus += float(limits.get("nvidia.com/gpu", 0)) * group["maxReplicas"]
        cpus += float(limits["cpu"]) * group["maxReplicas"]
    assert float(quota["spec"]["hard"]["requests.nvidia.com/gpu"]) >= 2 * gpus
    assert float(quota["spec"]["hard"]["requests.cpu"]) >= 2 * cpus


def test_nothing_is_cut_off_before_the_longest_stream_ends(objects: list[Object]) -> None:
    config = yaml.safe_load(service(objects)["spec"]["serveConfigV2"])
    (settings,) = (o["data"] for o in objects if o["kind"] == "ConfigMap")
    longest = config["http_options"]["request_timeout_s"]
    assert profile.load("prod").llm.total_timeout_s <= longest
    assert int(settings["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"]) > longest
    for each in deployments(objects):
        if each["name"] in {"Gateway", "Assistant", "LLM"}:
            assert each["graceful_shutdown_timeout_s"] > longest, each["name"]
    for name, group in groups(objects).items():
        spec = group["template"]["spec"]
        drain = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1])
        assert spec["terminationGracePeriodSeconds"] > drain > longest, name


@pytest.mark.parametrize("kind", ["RayCronJob"])
def test_batch_work_waits_for_its_turn(kind: str, objects: list[Object]) -> None:
    for each in (o for o in objects if o["kind"] == kind):
        assert each["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]


def test_every_command_of_ours_exists(objects: list[Object]) -> None:
    modules = set(re.findall(r"(?:-m'?,? '?|python -m )([a-z_.]+)", str(objects)))
    assert {"deployments.kubernetes.drain", "deployments.operations", "pipelines.gate"} <= modules
    assert all(importlib.util.find_spec(each) for each in modules), modules


def test_a_roll_out_goes_back_by_rules_that_are_there(objects: list[Object]) -> None:
    rules = [
        rule
        for o in objects
        if o["kind"] == "PrometheusRule"
        for g in o["spec"]["groups"]
        for rule in g["rules"]
    ]
    severities = [rule["labels"]["severity"] for rule in rules if "alert" in rule]
    assert severities.count("page") >= 3, "rollout.py goes back where one of these fires"
    (monitor,) = (o for o in objects if o["kind"] == "PodMonitor")
    local = yaml.safe_load((CHECKOUT / "monitoring" / "prometheus" / "prometheus.yml").read_text())
    wanted = local["scrape_configs"][0]["metric_relabel_configs"][0]
    for endpoint in monitor["spec"]["podMetricsEndpoints"]:
        ours = endpoint["metricRelabelings"][0]
        assert (ours["regex"], ours["targetLabel"]) == (wanted["regex"], wanted["target_label"])
