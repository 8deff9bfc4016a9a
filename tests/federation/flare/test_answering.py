"""A client of a FLARE job: nothing that goes wrong at a site ends the job in silence."""

from __future__ import annotations

import pytest

pytest.importorskip("nvflare", reason="the extra flare is not installed")

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fed_audience.errors import ConfigError, FederationError
from fed_audience.federation.transports.flare.envelope import TOPIC, read_answer, request_of
from fed_audience.federation.transports.flare.introduction import Challenge, introduce, site_of
from fed_audience.privacy.identity import SiteIdentity
from tests.federation.flare.network import JOB, Job, Site


def test_a_site_that_cannot_be_opened_says_so_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = Job()
    executor = job.add("client-0", Site("north"), site="north")
    executor.fails = ConfigError("there is no federation.yml", looked="/home/brand/federation.yml")
    with job.link() as link:
        assert link.sites() == []
        lines = [record.getMessage() for record in caplog.records]
        told = [line for line in lines if "client-0 does not take part" in line]
        assert len(told) == 1
        assert "there is no federation.yml" in told[0]
        assert "/home/brand" not in told[0], "where a site's files are is its own business"
        assert "/home/brand" in caplog.text, "its own log says it"
        executor.fails = MemoryError("of 4711 rows")
        assert link.welcome(job.roster) == []
        assert "client-0 does not take part: MemoryError" in caplog.text
        executor.fails = None
        assert link.welcome(job.roster) == ["north"]
        assert dict(link.call(b"x", ["north"], 30.0)) == {"north": b"north x"}
    assert (executor.opened, executor.closed) == (1, 0)


def test_the_site_is_closed_with_the_job_and_answers_no_more() -> None:
    job = Job()
    executor = job.add("client-0", Site("north"), site="north")
    with job.link() as link:
        job.end("client-0")
        assert executor.closed == 1
        assert list(link.call(b"x", ["north"], 0.1)) == []
        with pytest.raises(FederationError, match="does not answer: FLARE says SERVICE_UNAVAIL"):
            link.ask("north", "state", b"", 0.1)
        assert link.welcome({}) == []
        assert link.welcome(job.roster) == [], "it is not opened again"
    job.end("client-0")
    assert (executor.opened, executor.closed) == (1, 1)


def test_a_message_of_somebody_else_is_refused() -> None:
    job = Job()
    job.add("client-0", Site("north"), site="north")
    aux = job.engines["client-0"].aux
    for foreign in ({}, {"kind": "round"}, {"kind": "round", "body": "text"}, {"kind": 7}):
        request = Shareable(foreign)
        request.set_peer_props({"peer": "client-1"})
        answer = read_answer(aux.dispatch(TOPIC, request, FLContext()))
        assert (answer.body, answer.away) == (None, False)
        assert answer.refusal == "the message is none of fed-audience"
    request = request_of("introduction", b"{}")
    request.set_peer_props({"peer": "server"})
    assert (
        "a message is no challenge"
        in read_answer(aux.dispatch(TOPIC, request, FLContext())).refusal
    )


def test_tasks_and_other_events_change_nothing() -> None:
    job = Job()
    executor = job.add("client-0", Site("north"), site="north", begun=False)
    context = job.context_of("client-0")
    executor.handle_event(EventType.END_RUN, context)
    executor.handle_event(EventType.ABORT_TASK, context)
    reply = executor.execute("train", Shareable(), context, Signal())
    assert reply.get_return_code() == ReturnCode.TASK_UNKNOWN


def test_a_long_refusal_is_cut_and_made_printable() -> None:
    def fail(body: bytes) -> None:
        raise FederationError("a\nb" + "x" * 5_000)

    job = Job()
    job.add("client-0", Site("north", before=fail), site="north")
    with job.link() as link, pytest.raises(FederationError) as caught:
        link.ask("north", "state", b"", 30.0)
    assert caught.value.what.startswith("site north refused the message state: abx")
    assert len(caught.value.what) < 2_100


def test_an_introduction_is_good_for_one_challenge_client_and_job() -> None:
    identity = SiteIdentity.generate("north")
    roster = {"north": identity.public_key}
    challenge = Challenge.to("client-0", JOB)
    answer = introduce(identity, challenge.model_dump_json().encode(), client="client-0", job=JOB)
    assert site_of(challenge, answer, roster) == "north"
    for other in (Challenge.to("client-0", JOB), Challenge.to("client-1", JOB)):
        with pytest.raises(FederationError, match="does not hold the key"):
            site_of(other, answer, roster)
    for client, job in (("client-1", JOB), ("client-0", "another")):
        with pytest.raises(FederationError, match="for another client or job"):
            introduce(identity, challenge.model_dump_json().encode(), client=client, job=job)
    with pytest.raises(FederationError, match="a message is no introduction"):
        site_of(challenge, b"[]", roster)
