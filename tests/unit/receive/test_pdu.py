"""PDUs and command sets: what is read, what is refused, and that nothing else is raised."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ

from cadnode.receive import command, pdu
from cadnode.receive.command import CommandField, DimseRequest, MalformedCommand
from cadnode.receive.pdu import MalformedPdu
from tests.faults.listener_peer import MG, associate_rq, item

REQUEST = associate_rq(MG, b"PEER", b"NODE", 16384)[6:]


def test_a_request_states_titles_contexts_and_length() -> None:
    request = pdu.associate_request(REQUEST)

    assert (request.called_ae_title, request.calling_ae_title) == ("NODE", "PEER")
    assert request.max_pdu_bytes == 16384
    assert request.proposals == (
        pdu.Proposal(1, "1.2.840.10008.5.1.4.1.1.1.2", ("1.2.840.10008.1.2",)),
    )


@pytest.mark.parametrize("cut", range(1, len(REQUEST)))
def test_a_request_that_is_cut_off_is_malformed_or_says_less(cut: int) -> None:
    try:
        request = pdu.associate_request(REQUEST[:cut])
    except MalformedPdu:
        return
    assert len(request.proposals) <= 1


def test_more_than_128_contexts_are_malformed() -> None:
    context = item(0x20, b"\1\0\0\0")

    assert len(pdu.associate_request(REQUEST[:68] + context * 128).proposals) == 128
    with pytest.raises(MalformedPdu):
        pdu.associate_request(REQUEST[:68] + context * 129)


@given(st.binary(max_size=400))
def test_whatever_bytes_come_a_request_is_read_or_malformed(noise: bytes) -> None:
    for body in (noise, REQUEST[:68] + noise, REQUEST + noise):
        try:
            request = pdu.associate_request(body)
        except MalformedPdu:
            continue
        accepted, results = pdu.negotiated(request.proposals, {"1.2": ["1.2.840.10008.1.2"]})
        answer = pdu.associate_ac(request, accepted, results, 1 << 20, ("1.2.3", "X"))
        assert len(answer) == 6 + struct.unpack_from(">I", answer, 2)[0]


def test_answers_are_read_by_pynetdicom() -> None:
    request = pdu.associate_request(REQUEST)
    supported = {"1.2.840.10008.5.1.4.1.1.1.2": ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]}
    accepted, results = pdu.negotiated(request.proposals, supported)
    answer = A_ASSOCIATE_AC()
    answer.decode(pdu.associate_ac(request, accepted, results, 4096, ("1.2.3", "X_1")))
    rejected = A_ASSOCIATE_RJ()
    rejected.decode(pdu.associate_rj(pdu.LOCAL_LIMIT))

    primitive = answer.to_primitive()
    [context] = primitive.presentation_context_definition_results_list
    assert (context.context_id, context.result) == (1, 0)
    assert context.transfer_syntax == ["1.2.840.10008.1.2"]
    assert primitive.maximum_length_received == 4096
    assert (rejected.result, rejected.source, rejected.reason_diagnostic) == (2, 3, 2)


@pytest.mark.parametrize("most", [0, 7, 8, 16, 1000])
def test_a_response_is_split_to_what_the_peer_takes(most: int) -> None:
    content = bytes(range(100))
    sent = pdu.p_data(3, pdu.COMMAND, content, most)

    parts, at = [], 0
    while at < len(sent):
        _, length = pdu.HEADER.unpack_from(sent, at)
        assert not most or length <= most
        n_bytes, context, control = pdu.PDV_HEADER.unpack_from(sent, at + 6)
        assert (n_bytes, context) == (length - 4, 3)
        parts.append((control, sent[at + 12 : at + 6 + length]))
        at += 6 + length
    assert b"".join(part for _, part in parts) == content
    assert [control for control, _ in parts] == [1] * (len(parts) - 1) + [3]


STORE = DimseRequest(CommandField.C_STORE_RQ, 7, True, "1.2", "1.2.3")


@given(st.binary(max_size=200))
def test_whatever_bytes_come_a_command_is_read_or_malformed(noise: bytes) -> None:
    for data in (noise, command.response(STORE, 0) + noise):
        try:
            command.request(data)
        except MalformedCommand:
            continue


def role(uid: bytes, scu: int, scp: int) -> bytes:
    return item(0x54, struct.pack(">H", len(uid)) + uid + bytes([scu, scp]))


def test_roles_are_read_where_they_are_proposed_and_answered_where_they_are_accepted() -> None:
    proposed = role(b"1.2.840.10008.1.20.1", 0, 1) + role(b"1.2.3", 1, 1)
    cut = item(0x54, b"\0\x40" + b"1.2.3\1\1")  # its UID is longer than the item
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + proposed + cut)
    request = pdu.associate_request(REQUEST[:68] + user)

    assert request.roles == (
        pdu.ProposedRole("1.2.840.10008.1.20.1", scu=False, scp=True),
        pdu.ProposedRole("1.2.3", scu=True, scp=True),
    )  # fmt: skip
    answer = A_ASSOCIATE_AC()
    accepted = pdu.associate_ac(request, {}, [], 1 << 20, ("1.2", "V"), request.roles[:1])
    answer.decode(accepted)
    (selected,) = answer.user_information.role_selection.values()
    assert (selected.uid, selected.scu, selected.scp) == ("1.2.840.10008.1.20.1", 0, 1)


def test_a_report_s_command_set_is_read_as_a_request() -> None:
    found = command.request(command.event_report(7, "1.2.3", "1.2.3.4", 2))

    assert found == DimseRequest(CommandField.N_EVENT_REPORT_RQ, 7, True, "1.2.3", "1.2.3.4", 2)
    answer = command.response(found, 0x0115)
    with pytest.raises(MalformedCommand):  # it says which of our messages it answers, if it is ours
        command.request(answer[:40])
    assert command.request(answer) == DimseRequest(
        CommandField.N_EVENT_REPORT_RSP, 7, False, "1.2.3", "1.2.3.4", 0, 0x0115
    )


def user_identity(kind: int, username: bytes, passcode: bytes, *, answer: int = 0) -> bytes:
    """A User Identity item within user information (PS3.7 D.3.3.7.1)."""
    fields = struct.pack(">BBH", kind, answer, len(username)) + username
    return item(0x50, item(0x58, fields + struct.pack(">H", len(passcode)) + passcode))


def test_a_user_and_a_passcode_are_read() -> None:
    asked = pdu.associate_request(REQUEST[:68] + user_identity(2, b"ward", b"secret", answer=1))

    assert asked.user == pdu.UserIdentity(b"ward", b"secret", wants_answer=True)
    assert "secret" not in repr(asked)
    assert pdu.associate_request(REQUEST).user is None


@pytest.mark.parametrize("kind", [0, 1, 3, 4, 5, 255])
def test_another_kind_of_identity_shows_nobody(kind: int) -> None:
    asked = pdu.associate_request(REQUEST[:68] + user_identity(kind, b"ward", b"secret", answer=1))

    assert asked.user == pdu.UserIdentity()


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_user_identity_that_is_cut_off_shows_nobody(cut: int) -> None:
    whole = user_identity(2, b"ward", b"secret")[8:]
    asked = pdu.associate_request(REQUEST[:68] + item(0x50, item(0x58, whole[:-cut])))

    assert asked.user in (None, pdu.UserIdentity())


def test_the_answer_that_a_user_is_accepted_is_read_by_others() -> None:
    asked = pdu.associate_request(REQUEST)
    answer = pdu.associate_ac(asked, {}, [], 16384, ("1.2.3", "TEST"), confirms_user=True)
    decoded = A_ASSOCIATE_AC()
    decoded.decode(answer)

    (found,) = [one for one in decoded.user_information.user_data if one.item_type == 0x59]
    assert found.server_response in (b"", None)
