"""Rounds and questions through a FLARE job: who is reached, who is waited for, who is left out."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("nvflare", reason="the extra flare is not installed")

from fed_audience.errors import FederationError
from fed_audience.federation import Envelope, RunPaused
from fed_audience.federation.transports.flare import FlareLink
from fed_audience.privacy.identity import SiteIdentity
from tests.federation.flare.network import JOB, Executor, Job, Site

SITES = ("north", "south", "west")


@pytest.fixture
def job() -> Job:
    """Three clients, named as FLARE's administrators like, each with a site of its own."""
    found = Job()
    for number, site in enumerate(SITES):
        found.add(f"client-{number}", Site(site), site=site)
    return found


def site_of(job: Job, client: str) -> Site:
    executor = job.executors[client]
    assert isinstance(executor, Executor)
    _, end = executor._own
    assert isinstance(end, Site)
    return end


def test_every_site_is_sent_the_round_once_and_its_reply_is_named(job: Job) -> None:
    seen: list[Envelope] = []
    with job.link(on_message=seen.append) as link:
        assert link.sites() == list(SITES)
        job.sent.clear()
        body = bytes(range(256)) * 4_000
        replies = dict(link.call(body, SITES, 30.0))
    assert replies == {site: site.encode() + b" " + body for site in SITES}
    assert sorted(job.sent) == ["client-0", "client-1", "client-2"]
    assert {(e.site, e.direction) for e in seen} == {
        (site, way) for site in SITES for way in ("to_site", "from_site")
    }


def test_replies_come_as_the_sites_are_done(job: Job) -> None:
    later = threading.Event()
    site_of(job, "client-0").before = lambda _: later.wait(30)
    with job.link() as link:
        replies = link.call(b"x", SITES, 30.0)
        first = {next(replies)[0], next(replies)[0]}
        later.set()
        assert first == {"south", "west"}
        assert [site for site, _ in replies] == ["north"]


def test_a_site_that_raises_is_left_out_and_answers_the_next_round(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    site = site_of(job, "client-1")

    def fail(body: bytes) -> None:
        raise ZeroDivisionError("a row: 4711")

    site.before = fail
    with job.link() as link:
        assert sorted(site for site, _ in link.call(b"x", SITES, 30.0)) == ["north", "west"]
        (line,) = [r for r in caplog.records if getattr(r, "event", "") == "site_failed"]
        assert line.getMessage() == (
            "site south failed in a round: ZeroDivisionError; its own log says more"
        )
        with pytest.raises(FederationError, match="south refused the message greeting: ZeroDiv"):
            link.ask("south", "greeting", b"", 30.0)
        site.before = lambda _: None
        assert len(dict(link.call(b"x", SITES, 30.0))) == 3


def test_our_own_errors_are_told_in_their_words(job: Job) -> None:
    def refuse(body: bytes) -> None:
        raise FederationError("no run is held", value="secret", fix="start one")

    with job.link() as link:
        assert link.ask("west", "state", b"body", 30.0) == b"west state body"
        site_of(job, "client-2").before = refuse
        with pytest.raises(FederationError, match="refused the message state: no run") as caught:
            link.ask("west", "state", b"", 30.0)
    assert "To mend it: start one" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_silent_site_is_left_out_after_the_timeout(job: Job) -> None:
    released = threading.Event()
    site_of(job, "client-1").before = lambda _: released.wait(30)
    with job.link() as link:
        assert sorted(site for site, _ in link.call(b"x", SITES, 0.2)) == ["north", "west"]
        with pytest.raises(FederationError, match="site south does not answer: FLARE says TIMEOUT"):
            link.ask("south", "state", b"", 0.1)
        released.set()


def test_the_same_round_sent_again_while_it_is_computed_waits_for_its_turn(job: Job) -> None:
    released, inside, most = threading.Event(), [0], [0]
    site = site_of(job, "client-1")

    def count(body: bytes) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        released.wait(30)
        inside[0] -= 1

    site.before = count
    with job.link() as link:
        assert list(link.call(b"x", ["south"], 0.1)) == []
        threading.Timer(0.1, released.set).start()
        assert list(link.call(b"x", ["south"], 30.0)) == [("south", b"south x")]
    assert (most, site.rounds) == ([1], 2)


@pytest.mark.parametrize("code", ["COMMUNICATION_ERROR", "ERROR", "abort_run"])
def test_a_lost_connection_that_comes_back_costs_nothing_but_time(job: Job, code: str) -> None:
    job.cut_code = code
    with job.link() as link:
        job.cut.add("client-1")
        threading.Timer(0.1, job.cut.clear).start()
        assert sorted(dict(link.call(b"x", SITES, 30.0))) == list(SITES)
    assert site_of(job, "client-1").rounds == 1


def test_an_aborted_job_waits_for_nobody_and_nobody_is_missing(job: Job) -> None:
    aborted = threading.Event()
    with job.link(stopped=aborted.is_set) as link:
        job.cut.add("client-1")
        threading.Timer(0.1, aborted.set).start()
        began = time.monotonic()
        with pytest.raises(RunPaused, match="aborted during a round"):
            list(link.call(b"x", SITES, 600.0))
        with pytest.raises(FederationError, match="south does not answer: the job is aborted"):
            link.ask("south", "state", b"", 600.0)
        assert time.monotonic() - began < 300


def test_a_client_whose_job_has_not_begun_is_welcomed_later(job: Job) -> None:
    job.add("client-9", Site("east"), site="east", begun=False)
    with job.link() as link:
        assert link.sites() == list(SITES)
        with pytest.raises(FederationError, match="east does not answer: no client"):
            link.ask("east", "state", b"", 1.0)
        assert list(link.call(b"x", ["east"], 1.0)) == []
        job.begin("client-9")
        assert link.welcome(job.roster) == ["east", *SITES]


def test_who_cannot_prove_its_site_takes_no_part_and_is_named_once(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    roster = job.roster
    roster["north"] = SiteIdentity.generate("north").public_key
    del roster["west"]
    with FlareLink(job, JOB) as link:
        assert link.welcome(roster) == link.welcome(roster) == ["south"]
        words = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert len(words) == 2
        assert any("client-0 does not hold the key of the site" in text for text in words)
        assert any("client-2 speaks for a site that is not in the roster" in text for text in words)
        assert link.welcome(job.roster) == list(SITES)
        assert link.welcome({}) == [], "whoever is out of the roster is let go"


def test_one_site_speaks_through_one_client(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    job.add("client-7", Site("south"), site="south")
    with job.link() as link:
        assert link.sites() == list(SITES)
        assert len(dict(link.call(b"x", SITES, 30.0))) == 3
    assert "site south speaks through client-" in caplog.text
