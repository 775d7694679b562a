"""What a reader said is never lost: not to a damaged file, not to a mask of the same name."""

from masks import drawn, mask_of


def test_a_damaged_review_is_not_written_over(browser, ill):
    url, folder = ill
    browser.put(f"{url}/review", json={"who": "A", "lesions": {"1": "reject"}})
    state = folder / "review/review.json"
    for damaged in (state.read_text()[:-20], "", '{"lesions": 3}', "[" * 100_000):
        state.write_text(damaged)
        answers = [
            browser.put(f"{url}/review", json={"who": "B", "lesions": {"2": "accept"}}),
            browser.put(f"{url}/mask", content=drawn(mask_of(folder)), headers={"x-who": "B"}),
            browser.get(f"{url}/export/mask.nii.gz"),
            browser.get(url),
        ]
        assert [answer.status_code for answer in answers] == [400] * 4
        assert "is damaged" in answers[0].json()["error"]
        assert state.read_text() == damaged


def test_an_earlier_mask_is_never_written_over(browser, ill):
    """Whatever the history says, and whoever put a file there."""
    url, folder = ill
    who = {"x-who": "A"}
    browser.put(f"{url}/mask", content=drawn(mask_of(folder)), headers=who)
    first = (folder / "review/mask.nii.gz").read_bytes()
    (folder / "review/mask.1.nii.gz").write_bytes(b"mine")
    state = browser.put(f"{url}/mask", content=drawn(mask_of(folder)), headers=who).json()
    assert state["history"][-1]["replaces"] == "mask.2.nii.gz"
    assert (folder / "review/mask.1.nii.gz").read_bytes() == b"mine"
    assert (folder / "review/mask.2.nii.gz").read_bytes() == first


def test_what_is_kept_has_reached_the_disk(browser, ill, monkeypatch):
    url, folder = ill
    kept = []
    monkeypatch.setattr("os.fsync", kept.append)
    browser.put(f"{url}/review", json={"who": "A", "lesions": {"1": "reject"}})
    assert len(kept) == 1
    browser.put(f"{url}/mask", content=drawn(mask_of(folder)), headers={"x-who": "A"})
    assert len(kept) == 3
