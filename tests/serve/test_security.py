"""Only the browser that was given the token gets in, and only to its own page."""

import pytest
from starlette.testclient import TestClient

from hale.serve.app import application
from hale.serve.security import Keys

HOME = "http://127.0.0.1:8737"


def test_without_cookie_nothing_is_told(stranger):
    for path in ("/", "/index.html", "/api/results", "/api/models", "/vendor/niivue.umd.js"):
        answer = stranger.get(path)
        assert answer.status_code == 401
        assert "open the address that `hale serve` printed" in answer.text


def test_the_token_is_exchanged_for_a_cookie_and_stripped(stranger, keys):
    answer = stranger.get("/", params={"token": keys.token}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert keys.token not in answer.headers["set-cookie"]
    assert stranger.get("/api/results").status_code == 200


@pytest.mark.parametrize("query", ["token=", "token=wrong", "token={}x"])
def test_a_wrong_token_opens_nothing(stranger, keys, query):
    answer = stranger.get(f"/?{query.format(keys.token)}", follow_redirects=False)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_token_given_twice_opens_nothing(stranger, keys):
    twice = f"/?token={keys.token}&token={keys.token}"
    assert stranger.get(twice, follow_redirects=False).status_code == 403
    assert stranger.get(f"/?token=x&token={keys.token}").status_code == 403


def test_a_token_opens_the_page_alone(stranger, keys):
    for path in ("/api/results", "/index.html"):
        answer = stranger.get(path, params={"token": keys.token}, follow_redirects=False)
        assert answer.status_code == 403
    assert stranger.post("/", params={"token": keys.token}).status_code == 403


def test_a_cookie_of_another_start_is_nothing(station, browser):
    later = TestClient(application(station, Keys(port=8737)), base_url=HOME)
    later.cookies = browser.cookies
    assert later.get("/api/results").status_code == 401


def test_two_cookies_of_our_name_are_refused(stranger, keys):
    both = {"cookie": f"{keys.cookie}=x; {keys.cookie}={keys.session}"}
    assert stranger.get("/api/results", headers=both).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:8737", ""]
)
def test_a_name_that_was_pointed_here_is_refused(browser, host):
    """DNS rebinding: the browser believes to talk to its own site, and says its name."""
    answer = browser.get("/api/results", headers={"host": host})
    assert answer.status_code == 421


def test_localhost_is_this_host_too(browser, keys):
    cookie = {"cookie": f"{keys.cookie}={keys.session}", "host": "localhost:8737"}
    assert browser.get("/api/results", headers=cookie).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:8738", "http://localhost:8737"]
)
def test_another_origin_is_refused(browser, origin):
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = browser.request(method, "/api/jobs", headers={"origin": origin})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_fetches_is_refused(browser, site):
    fetched = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
    assert browser.get("/api/results.tsv", headers=fetched).status_code == 403
    own = {"sec-fetch-site": "same-origin", "origin": HOME}
    assert browser.get("/api/results", headers=own).status_code == 200


def test_every_answer_carries_the_policy(browser, ids):
    for path in ("/api/results", "/nowhere", "/api/nowhere", f"/api/results/{ids['ill']}"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http:" not in policy  # no outside origin
        assert "https:" not in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_report_runs_nothing(browser, ids, station):
    (station.folder / "ill/report.html").write_text("<script>alert(1)</script>")
    answer = browser.get(f"/api/results/{ids['ill']}/report.html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy


def test_there_are_no_documents_of_the_interface(browser):
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert browser.get(path).status_code == 404


def test_a_body_beyond_what_is_expected_is_refused(browser, ids):
    body = b'{"who": "' + b"x" * 2**21 + b'"}'
    url = f"/api/results/{ids['ill']}/review"
    assert browser.put(url, content=body).status_code == 413

    def unknown_length():
        for _ in range(40):
            yield b"x" * 2**16

    assert browser.put(url, content=unknown_length()).status_code == 413


def test_a_defect_shows_no_traceback(browser, monkeypatch):
    from hale.serve import routes_results

    def broken(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr(routes_results, "row_of", broken)
    answer = browser.get("/api/results")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "RuntimeError" in answer.json()["error"]


def test_pages_come_with_the_type_that_browsers_insist_on(browser):
    answer = browser.get("/vendor/niivue.umd.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    assert browser.get("/../app.py").status_code == 404
    assert browser.get("/%2e%2e/app.py").status_code == 404
