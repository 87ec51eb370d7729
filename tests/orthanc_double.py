"""A test double of the module `orthanc` that Orthanc's Python plugin offers, and of an Orthanc.

It behaves as Orthanc 1.12 does: unlike Debian's 1.10 it knows labels.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

PLUGIN = Path(__file__).parents[1] / "orthanc" / "cadnode_plugin.py"


class OrthancException(Exception):
    """As the plugin's own."""


class FakeOrthanc(ModuleType):
    """Studies as dictionaries; what was written and logged can be looked at."""

    OrthancException = OrthancException
    ChangeType = SimpleNamespace(
        ORTHANC_STARTED=10, ORTHANC_STOPPED=11, STABLE_STUDY=9, DELETED=1, JOB_SUCCESS=17,
        JOB_FAILURE=16, NEW_SERIES=4,
    )  # fmt: skip
    ResourceType = SimpleNamespace(PATIENT=0, STUDY=1, SERIES=2, INSTANCE=3)

    def __init__(self, configuration: dict[str, Any]) -> None:
        super().__init__("orthanc")
        self.configuration = configuration
        self.studies: dict[str, list[dict[str, Any]]] = {}  # series of each study
        self.changes: list[dict[str, Any]] = []
        self.metadata: dict[str, str] = {}
        self.labels: dict[str, set[str]] = {}
        self.md5: dict[str, str] = {}  # of instances that are not as any other
        self.jobs: dict[str, str] = {}
        self.posted: list[tuple[str, Any]] = []
        self.logged: list[str] = []
        self.routes: dict[str, Any] = {}
        self.on_change: Any = None
        self.explorer = ""
        self.has_labels = True

    # what a test does

    def add(self, study: str, modality: str, *instances: str, manufacturer: str = "X") -> None:
        """Receive instances, and call the study stable."""
        tags = {"Modality": modality, "Manufacturer": manufacturer}
        self.studies.setdefault(study, []).append(
            {"MainDicomTags": tags, "Instances": list(instances), "ParentStudy": study}
        )
        self.change("StableStudy", "Study", study)

    def change(self, kind: str, level: str, resource: str, date: str = "9") -> None:
        """Write into the log of changes."""
        self.changes.append(
            {"ChangeType": kind, "ResourceType": level, "ID": resource, "Date": date,
             "Seq": len(self.changes) + 1}
        )  # fmt: skip

    # what the plugin calls

    def GetConfiguration(self) -> str:
        return json.dumps(self.configuration)

    def GetConfigurationPath(self) -> str:
        return str(self.configuration["path"])

    def LogWarning(self, text: str) -> None:
        self.logged.append(text)

    LogError = LogWarning

    def RegisterOnChangeCallback(self, function: Any) -> None:
        if self.on_change is not None:
            raise RuntimeError("Can only register one Python on-changes callback")
        self.on_change = function

    def RegisterRestCallback(self, pattern: str, function: Any) -> None:
        self.routes[pattern] = function

    def ExtendOrthancExplorer(self, text: str) -> None:
        self.explorer = text

    def RestApiGet(self, path: str) -> bytes:
        parts = path.strip("/").split("/")
        found: Any = None
        if path == "/system":
            found = {"ApiVersion": 24, "HasLabels": self.has_labels}
        elif path == "/changes?last":
            found = {"Last": len(self.changes)}
        elif path.startswith("/changes?since="):
            since = int(path.split("=")[1].split("&")[0])
            page = self.changes[since : since + 2]  # small pages
            last = page[-1]["Seq"] if page else since
            found = {"Changes": page, "Last": last, "Done": last == len(self.changes)}
        elif parts[0] == "jobs" and parts[1] in self.jobs:
            found = {"State": self.jobs[parts[1]]}
        elif parts[0] == "studies" and parts[1] in self.studies:
            found = self._study(parts)
        elif parts[0] == "series":  # "2@STUDY": the third one of a study
            number, _, study = parts[1].partition("@")
            found = self.studies[study][int(number)]
        elif parts[0] == "instances" and parts[-1] == "SopClassUid":
            series = (s for study in self.studies.values() for s in study)
            modality = next(
                s["MainDicomTags"]["Modality"] for s in series if parts[1] in s["Instances"]
            )
            ends = {"MG": "1.2", "KO": "88.59", "SR": "88.33"}
            return f"1.2.840.10008.5.1.4.1.1.{ends.get(modality, '2')}".encode()
        elif parts[0] == "instances" and parts[-1] == "md5":
            return self.md5.get(parts[1], "md5").encode()
        if found is None:
            raise OrthancException(17, "Unknown resource")
        return json.dumps(found).encode()

    def _study(self, parts: list[str]) -> Any:
        if parts[2:] == ["series"]:
            return self.studies[parts[1]]
        if parts[2:] == ["labels"]:
            return sorted(self.labels.get(parts[1], ()))
        return {"MainDicomTags": {"StudyInstanceUID": f"1.2.{int(parts[1][:8], 16)}"}}

    def RestApiPost(self, path: str, body: str) -> bytes:
        self.posted.append((path, json.loads(body)))
        job = f"job{len(self.posted)}"
        self.jobs[job] = "Running"
        return json.dumps({"ID": job}).encode()

    def RestApiPut(self, path: str, body: str) -> bytes:
        _, study, kind, name = path.strip("/").split("/")
        if kind == "labels":
            self.labels.setdefault(study, set()).add(name)
        else:
            self.metadata[study] = body
        return b""

    def RestApiDelete(self, path: str) -> bytes:
        _, study, _, name = path.strip("/").split("/")
        self.labels[study].discard(name)
        return b""


class Output:
    """What a route answers; two arguments for a status, as later plugins have it."""

    def __init__(self) -> None:
        self.status, self.body, self.allowed, self.location = 0, {}, "", ""

    def AnswerBuffer(self, body: str, _mime: str) -> None:
        self.status, self.body = 200, json.loads(body)

    def Redirect(self, address: str) -> None:
        self.status, self.location = 301, address

    def SetHttpHeader(self, _name: str, _value: str) -> None:
        pass

    def SendHttpStatus(self, status: int, body: bytes) -> None:
        self.status, self.body = status, json.loads(body)

    def SendMethodNotAllowed(self, allowed: str) -> None:
        self.status, self.allowed = 405, allowed


def load_plugin(orthanc: FakeOrthanc) -> Any:
    """The plugin's module, loaded as if by that Orthanc."""
    sys.modules["orthanc"] = orthanc
    try:
        spec = importlib.util.spec_from_file_location("cadnode_plugin", PLUGIN)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["cadnode_plugin"] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    finally:
        del sys.modules["orthanc"]
        sys.modules.pop("cadnode_plugin", None)
    return module
