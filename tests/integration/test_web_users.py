"""People who log in at a real web role by https, and lose what is taken from them."""

from pathlib import Path

import requests

from cadnode.identity.passwords import Passwords
from tests.integration.node import wait_until
from tests.integration.web_role import answers, certified, web_role
from tests.web_cases import PASSWORDS


def users_file(folder: Path) -> Path:
    """Two people with their roles, as `cadnode users add` writes them."""
    path, hashing = folder / "users", Passwords()
    people = [("vera", "viewer"), ("otto", "operator")]
    path.write_text("".join(f"{n}:{r}:{hashing.hash(PASSWORDS[n])}\n" for n, r in people))
    path.chmod(0o600)
    return path


def test_people_log_in_by_name_at_a_node_that_serves_https_and_lose_what_is_taken_from_them(
    tmp_path: Path,
) -> None:
    certificate, key = certified(tmp_path)
    users = users_file(tmp_path)
    more = f'certificate_file = "{certificate}"\nkey_file = "{key}"\nusers_file = "{users}"\n'
    body = {"study_instance_uid": "1.2.3", "source": "x"}
    with web_role(tmp_path, more) as web, requests.Session() as session:
        session.trust_env, session.verify = False, str(certificate)
        wait_until(lambda: answers(web.url("/health", "https"), verify=certificate), "it answers")
        here = {"Origin": web.url("", "https")}

        def log_in(name: str) -> requests.Response:
            fields = {"name": name, "password": PASSWORDS[name]}
            at = web.url("/login", "https")
            return session.post(at, fields, headers=here, allow_redirects=False, timeout=10)

        answer = log_in("vera")
        assert answer.status_code == 303
        assert answer.headers["Set-Cookie"].startswith("__Host-cadnode_session=")
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        front = session.get(web.url("/login", "https"), allow_redirects=False, timeout=10)
        assert front.headers["Location"] == "/"
        refused = session.post(
            web.url("/api/studies", "https"), json=body, headers=here, timeout=10
        )
        assert (refused.status_code, "operator" in refused.json()["error"]) == (403, True)
        log_in("otto")
        users.write_text(users.read_text().replace("otto:operator", "otto:viewer"))
        wait_until(
            lambda: (
                session.get(web.url("/api/openapi.json", "https"), timeout=10).status_code == 401
            ),
            "the session that was another role's has ended",
        )
        assert "Traceback" not in web.log
        for secret in (*PASSWORDS.values(), "vera", "otto"):
            assert secret not in web.log
