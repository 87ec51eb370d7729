#!/usr/bin/env python3
"""What an installed node is made of: a CycloneDX bill of materials, and NOTICE for people.

    deploy/supply/sbom.py --environment .venv/bin/python --out dist/cadnode.cdx.json
    deploy/supply/sbom.py --environment .venv/bin/python --notice NOTICE

Packages come from `cyclonedx-py environment` (run through `--tool`), which looks at what is
installed, licences included. The packaged models are added as components of their own: the sha256
of the weights, what they learnt from, and on whose terms (from their cards).
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
WEIGHTS: Final = ROOT / "cadnode" / "weights"
_DEVELOPMENT: Final = "cadnode"  # the main component: it is described by pyproject.toml itself
# Packages whose metadata states no licence that a tool can read: what the LICENSE file in them is.
_BY_FILE: Final = {
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "monai": "Apache-2.0",
    "nvidia-cusparselt-cu13": "LicenseRef-NVIDIA-Proprietary",
    "torch": "BSD-3-Clause",
    "torchvision": "BSD-3-Clause",
}


def packages(tool: str, environment: Path) -> dict[str, Any]:
    """The bill of an environment. Raises `CalledProcessError` where the tool fails."""
    command = [
        tool, "environment", str(environment), "--pyproject", str(ROOT / "pyproject.toml"),
        "--of", "JSON", "--output-reproducible",
    ]  # fmt: skip
    found: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    found["components"] = [c for c in found.get("components", ()) if c["name"] != _DEVELOPMENT]
    return found


def cards() -> Iterator[dict[str, Any]]:
    """The cards of the packaged models, in order of their names."""
    for path in sorted(WEIGHTS.glob("*/*/card.json")):
        yield json.loads(path.read_text("utf-8"))


def model_component(card: dict[str, Any]) -> dict[str, Any]:
    """A packaged model as a CycloneDX component. Raises `SystemExit` where its weights differ."""
    sha256 = card["weights_sha256"]
    blob = WEIGHTS / "blobs" / f"{sha256}.safetensors"
    if hashlib.sha256(blob.read_bytes()).hexdigest() != sha256:
        raise SystemExit(f"sbom: the weights of {card['name']} are not those of its card")
    datasets = [
        {"type": "dataset", "name": one["name"], "description": one["terms"]}
        for one in card["training_sets"]
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{card['name']}@{card['version']}",
        "name": card["name"],
        "version": card["version"],
        "description": card["algorithm"],
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "licenses": [{"license": {"name": card["licence"]}}],
        "modelCard": {"modelParameters": {"datasets": datasets}},
    }


def notice(bill: dict[str, Any]) -> str:
    """NOTICE: the packaged weights and their data first, then every package by its licence."""
    lines = [
        "cadnode",
        "Copyright the cadnode authors. Licensed under the Apache License, Version 2.0 (LICENSE).",
        "Research use only: no medical device, not for diagnosis, triage or screening decisions.",
        "",
        "Packaged weights, what they learnt from, and on what terms",
        "==========================================================",
    ]
    for card in cards():
        lines += [
            "",
            f"{card['name']} {card['version']}",
            f"  weights  {card['weights_sha256']}",
            f"  licence  {card['licence']}",
            *(f"  data     {one['name']}: {one['terms']}" for one in card["training_sets"]),
        ]
    lines += [
        "",
        "In the wheel, for the pages",
        "===========================",
        "",
        *(f"{name}  {licence}" for name, licence in scripts()),
    ]
    lines += [
        "",
        "Packages that an installation brings, by the licence that each states",
        "=====================================================================",
        "",
    ]
    found = sorted(
        {(f"{c['name']} {c['version']}", licence_of(c)) for c in bill["components"]},
        key=lambda one: one[0].lower(),
    )
    widest = max(len(name) for name, _ in found)
    lines += [f"{name:{widest}}  {licence}" for name, licence in found]
    return "\n".join(lines) + "\n"


def scripts() -> list[tuple[str, str]]:
    """What browsers are sent of other projects, with the licence."""
    pinned = json.loads((ROOT / "cadnode/web/library.json").read_text())
    return [(f"{pinned['package']} {pinned['version']}", pinned["licence"])]


def licence_of(component: dict[str, Any]) -> str:
    """The licences that a package states, acknowledged ones first, in one line."""
    names = []
    for one in component.get("licenses", ()):
        licence = one.get("license", {})
        name = one.get("expression") or licence.get("id") or licence.get("name") or ""
        short = name.removeprefix("License :: ").removeprefix("OSI Approved :: ").splitlines()
        if short and len(short[0]) <= 80:  # some write the whole text where a name belongs
            names.append(short[0])
    stated = ", ".join(dict.fromkeys(names))
    return stated or _BY_FILE.get(component["name"], "states none")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Write the bill of materials, or NOTICE.")
    parser.add_argument("--environment", required=True, type=Path, help="its Python")
    parser.add_argument("--tool", default="cyclonedx-py", help="of the package cyclonedx-bom")
    parser.add_argument("--out", type=Path, help="CycloneDX file to write")
    parser.add_argument("--notice", type=Path, help="NOTICE file to write")
    options = parser.parse_args()
    try:
        bill = packages(options.tool, options.environment)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"sbom: {options.tool} failed: {error}") from None
    if options.notice:
        options.notice.write_text(notice(bill), "utf-8")
    bill["components"] += [model_component(card) for card in cards()]
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(bill, indent=2) + "\n", "utf-8")
    sys.stderr.write(f"{len(bill['components'])} components\n")


if __name__ == "__main__":
    main()
