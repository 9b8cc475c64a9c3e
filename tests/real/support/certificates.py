# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that a test makes, and servers that can use them."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t


def make_certificates(folder: pathlib.Path, address: str) -> pathlib.Path:
    """A CA, a server at an address and a client that it signed, and a CA that signed nobody."""
    key = ("-newkey", "rsa:2048", "-nodes")
    signs = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name in ("ca", "other-ca"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
        openssl(folder, "req", "-x509", *key, *files, "-days", "2", "-subj", f"/CN={name}", *signs)
    (folder / "names").write_text(f"subjectAltName=IP:{address},DNS:localhost", encoding="utf-8")
    for name in ("server", "client"):
        openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)
    return folder


def openssl(folder: pathlib.Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def built_with_tls(binaries: t.Iterable[str]) -> str | None:
    """A redis-server that was built with TLS."""
    for binary in binaries:
        probe = subprocess.run([binary, "--tls-port", "x"], capture_output=True, text=True, timeout=10)
        if "Bad directive" not in probe.stdout + probe.stderr:
            return binary
    return None


def server_options(certificates: pathlib.Path) -> list[str]:
    """What a redis-server is told of its certificate."""
    files = (("cert", "server.crt"), ("key", "server.key"), ("ca-cert", "ca.crt"))
    return [word for option, name in files for word in (f"--tls-{option}-file", str(certificates / name))]
