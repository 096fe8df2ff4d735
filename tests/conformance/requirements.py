"""Every MUST of both specifications that concerns a proxy: an id, where it stands, and the tests that hold us to it.

Read from MCP 2025-11-25 and 2026-07-28 in 2026-11 and told in our own words; a source is `REVISION PAGE#SECTION`. Where
no test of ours can hold us to it, `why` says so. What each page says of people's minds and screens (consent, how an
address is shown) is one entry for each page: a proxy has no screen. `test_requirements.py` keeps tests and list in step.
"""

from __future__ import annotations

from dataclasses import dataclass

OLD, NEW = "2025-11-25", "2026-07-28"


@dataclass(frozen=True)
class Requirement:
    """`tests` are pytest node ids below `tests/`, without parameters; `why` is set when there are none."""

    id: str
    text: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]
    why: str = ""


def old(*pages: str) -> tuple[str, ...]:
    return tuple(f"{OLD} {page}" for page in pages)


def new(*pages: str) -> tuple[str, ...]:
    return tuple(f"{NEW} {page}" for page in pages)


def both(*pages: str) -> tuple[str, ...]:
    return old(*pages) + new(*pages)


def must(name: str, text: str, sources: tuple[str, ...], *tests: str, why: str = "") -> Requirement:
    """`tests` are `file: test test ...`, the file below `tests/` and without its ending."""
    ids = []
    for group in tests:
        file, names = group.split(": ")
        room, _, stem = file.rpartition("/")
        ids += [f"{room}/test_{stem}.py::test_{one}" for one in names.split()]
    return Requirement(name, text, sources, tuple(ids), why)


PASSED_ON = "binds the server behind us: its words pass on untouched"
OF_THE_CLIENT = "binds the client before us, which keeps or breaks it without us"
NO_SCREEN = "binds whoever has a screen and a person before it"
SIGN_IN = "signing in, on either side, is not carried out yet; it comes as a whole, with its own requirements"

MESSAGES = (
    must(
        "BASE-JSONRPC",
        "Every message is JSON-RPC 2.0 in UTF-8.",
        both("basic/index#messages") + old("basic/transports") + new("basic/transports/index#messages"),
        "listeners/envelopes: every_json_value_is_some_kind_of_message_and_requests_are_well_formed",
        "core/wire/jsonrpc: what_is_encoded_reads_back_as_it_was_here_and_in_the_standard_library "
        "what_is_not_json_is_a_value_error_however_it_is_wrong",
        "backends/mcp_link: an_answer_that_breaks_the_protocol_fails_its_own_call",
    ),
    must(
        "BASE-ALL-PARTS",
        "The base protocol with its lifecycle (before) or versioning (now) is there, whatever else is.",
        both("basic/index"),
        "conformance/suite: the_reference_server_passes_everything_that_its_revision_requires "
        "every_check_of_every_scenario_ends_through_the_gateway_as_it_does_directly",
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
    ),
    must(
        "REQUEST-ID-KIND",
        "A request has an id that is a string or an integer and never null.",
        both("basic/index#requests"),
        "listeners/envelopes: an_id_that_is_no_string_or_integer_is_refused_without_an_id",
        "scenarios/quirks: ids_that_differ_only_in_kind_are_different_requests_at_the_same_time",
    ),
    must(
        "REQUEST-ID-NEW",
        "A sender gives no two requests that are open at once (before: of one session) the same id.",
        both("basic/index#requests"),
        "backends/mcp_link: answers_find_their_requests_in_any_order",
        "scenarios/quirks: a_second_request_with_an_id_in_use_is_refused_and_the_first_goes_on",
    ),
    must(
        "RESULT-ID",
        "A result carries the id of its request.",
        both("basic/index#result-responses"),
        "listeners/http_modern: a_call_is_answered_with_json_under_its_own_id many_calls_at_once_get_their_own_answers",
        "listeners/stdio: many_requests_at_once_get_their_own_answers",
        "backends/mcp_link: an_id_may_come_back_as_text_or_number",
    ),
    must(
        "RESULT-MEMBER",
        "A result response has the member `result`.",
        both("basic/index#result-responses"),
        "core/wire/jsonrpc: a_result_is_wrapped_and_never_written_anew",
        "listeners/http_modern: a_call_is_answered_with_json_under_its_own_id",
    ),
    must(
        "RESULT-TYPE",
        "A modern result says its type.",
        new("basic/index#result-responses"),
        "core/translate/outcomes: across_eras_every_field_survives_and_the_result_type_comes_and_goes",
        "core/listing: a_modern_page_says_its_type_and_how_long_it_may_be_kept",
    ),
    must(
        "RESULT-TYPE-ABSENT",
        "A result without a type, from a server that knows none, is complete.",
        new("basic/index#resulttype"),
        "core/translate/outcomes: across_eras_every_field_survives_and_the_result_type_comes_and_goes",
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
    ),
    must(
        "RESULT-TYPE-KNOWN",
        "Only types of the core and of extensions that both sides advertised are used; a client takes no other.",
        new("basic/index#resulttype"),
        "runtime/tasks: who_did_not_declare_the_extension_gets_no_task_and_may_ask_for_none",
        "runtime/task_run: who_did_not_declare_it_sees_no_difference",
        "core/translate/outcomes: a_result_of_a_kind_that_nobody_knows_does_not_seem_complete_to_a_legacy_client",
    ),
    must(
        "ERROR-ID",
        "An error carries the id of its request unless that could not be read.",
        both("basic/index#error-responses"),
        "listeners/envelopes: wrong_members_are_refused_under_the_id_of_the_request "
        "an_id_that_is_no_string_or_integer_is_refused_without_an_id",
        "backends/mcp_http_reading: an_error_is_passed_on_even_when_the_server_did_not_read_the_id",
    ),
    must(
        "ERROR-MEMBER",
        "An error response has `error` with an integer code and a message.",
        both("basic/index#error-responses"),
        "core/translate/outcomes: a_backends_error_passes_untouched our_own_failures_say_whether_repeating_is_safe",
        "core/wire/jsonrpc: a_malformed_error_still_says_what_the_other_side_wrote",
    ),
    must(
        "ERROR-CODES-RETIRED",
        "The codes -32002 and -32042 of earlier revisions are not sent in the modern era.",
        new("basic/index#error-codes"),
        "core/translate/outcomes: a_legacy_not_found_has_the_modern_code_for_modern_clients",
        "scenarios/era_matrix: an_address_that_nobody_visits_ends_the_call_with_the_servers_words",
        "runtime/questions: a_modern_client_that_refuses_never_gets_the_code_of_the_other_era",
    ),
    must(
        "ERROR-CODES-RESERVED",
        "Of the codes -32020 to -32099 only those that the specification defines are sent, in their meaning.",
        new("basic/index#error-codes"),
        "model/errors: of_the_reserved_codes_only_those_that_the_specification_defines_have_a_name",
        "listeners/http_modern: headers_that_disagree_with_the_body_are_refused "
        "an_unknown_version_is_told_which_are_served",
    ),
    must(
        "ERROR-CODES-OLD-RANGE",
        "Nothing is read into codes from -32000 to -32019 (but -32002), and no new ones are made up there.",
        new("basic/index#error-codes"),
        "core/translate/outcomes: a_backends_error_passes_untouched",
        "model/errors: of_the_reserved_codes_only_those_that_the_specification_defines_have_a_name",
    ),
    must(
        "NOTIFICATION-SILENCE",
        "A notification has no id and gets no response.",
        both("basic/index#notifications"),
        "listeners/http_legacy: notifications_and_answers_are_accepted",
        "listeners/http_modern: notifications_are_taken_at_a_served_version_only",
        "backends/mcp_link: lines_that_are_no_messages_are_shown_and_harm_nobody",
    ),
    must(
        "META-KEYS",
        "Nothing is assumed about `_meta` keys that are reserved and unknown: they travel on.",
        both("basic/index#meta"),
        "core/wire/meta: the_trace_and_the_keys_of_others_travel_on only_the_keys_of_one_hop_are_taken_off",
        "listeners/calls: meta_leaves_the_parameters_and_keeps_only_what_travels_on",
    ),
    must(
        "META-NAMES",
        "A `_meta` key is a name, after a prefix of dotted labels and a slash if it has one.",
        both("basic/index#meta"),
        "backends/mcp_handshake: a_modern_request_carries_the_real_client_and_what_it_sent",
        "core/wire/meta: every_key_and_extension_of_ours_is_a_name_after_a_prefix_of_labels",
    ),
    must(
        "META-TRACE",
        "Trace context in `_meta` follows W3C Trace Context.",
        new("basic/index#meta"),
        "runtime/engine: a_trace_context_is_passed_on_untouched_and_its_id_is_journalled",
        "core/trace: a_valid_traceparent_gives_its_trace_id anything_else_gives_none",
    ),
    must(
        "ICONS",
        "Icons are fetched and drawn with care for their addresses and kinds.",
        both("basic/index#icons"),
        why="binds whoever draws them: definitions pass on with their icons as they are, and we fetch none",
    ),
)

SCHEMAS = (
    must(
        "SCHEMA-DIALECT",
        "A schema that names no dialect is read as JSON Schema 2020-12.",
        both("basic/index#schema-dialect", "basic/index#implementation-requirements"),
        "core/schema: a_schema_that_names_no_dialect_is_read_as_2020_12 every_fault_is_named_with_its_place",
        "conformance/suite: every_check_of_every_scenario_ends_through_the_gateway_as_it_does_directly",
    ),
    must(
        "SCHEMA-OTHER-DIALECT",
        "A schema of a dialect that is not supported does no harm and is told of.",
        both("basic/index#implementation-requirements"),
        "core/schema: a_schema_that_cannot_be_compiled_is_reported_and_checks_nothing",
    ),
    must(
        "SCHEMA-VALID",
        "Schemas are valid in their dialect.",
        both("basic/index#schema-validation") + both("server/tools#tool"),
        "core/listing: unknown_fields_of_a_definition_pass_untouched",
        "backends/mcp_offers: a_malformed_entry_is_left_out_with_a_note_and_the_others_stay",
    ),
    must(
        "SCHEMA-NO-FETCH",
        "Nothing is fetched to resolve a reference of a schema.",
        new("basic/index#ref-resolution"),
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
        "core/schema: a_schema_that_cannot_be_compiled_is_reported_and_checks_nothing "
        "a_reference_bomb_is_counted_without_being_unfolded_and_not_used",
    ),
)

STATELESS = (
    must(
        "MODERN-NO-MEMORY",
        "A modern request is understood from itself alone; what outlives it is named by an explicit handle.",
        new("basic/index#statelessness"),
        "scenarios/quirks: stateless_requests_may_all_have_the_same_id",
        "scenarios/questions_in_trouble: a_call_between_modern_peers_may_go_on_at_any_gateway_with_the_same_key",
    ),
    must(
        "MODERN-META",
        "Every modern request carries the required fields in its `_meta`.",
        new(
            "basic/index#meta",
            "basic/patterns/mrtr",
            "server/prompts",
            "server/resources",
            "server/tools",
            "server/utilities/completion",
            "server/utilities/pagination",
        ),
        "backends/mcp_http_modern: a_call_is_one_post_with_the_headers_and_the_meta_of_the_revision",
        "backends/mcp_stdio: a_modern_server_sees_the_real_client",
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
    ),
    must(
        "MODERN-META-MISSING",
        "A request that misses one is refused with -32602, over HTTP with status 400.",
        new("basic/index#meta"),
        "listeners/http_modern: an_incomplete_envelope_is_invalid",
        "listeners/mcp_eras: a_missing_required_key_is_named",
    ),
    must(
        "MODERN-ABILITIES",
        "Nothing is asked of a client that it did not declare; what cannot be done without is refused with -32021.",
        new("basic/index#meta"),
        "scenarios/era_matrix: a_client_is_never_asked_what_it_did_not_declare the_server_sees_what_this_client_can_be_asked",
        "scenarios/era_matrix: addresses_are_shown_until_the_server_is_content_and_to_nobody_who_cannot_visit",
        "runtime/tasks: who_did_not_declare_the_extension_gets_no_task_and_may_ask_for_none",
        "runtime/task_calls: what_the_client_may_not_do_at_all_is_said_before_what_is_wrong_with_the_request",
    ),
    must(
        "MODERN-ABILITIES-STATUS",
        "The refusal for a missing ability has HTTP status 400.",
        new("basic/index#meta"),
        "core/translate/outcomes: error_codes_have_their_http_status",
        "listeners/http_modern: gateway_errors_have_the_status_of_their_code",
    ),
    must(
        "VERSION-REFUSED",
        "A version that is not served is refused with -32022 and the list of those that are.",
        new("basic/versioning#protocol-version-negotiation"),
        "listeners/http_modern: an_unknown_version_is_told_which_are_served",
        "listeners/mcp_eras: an_unknown_version_is_told_which_are_served",
        "scenarios/http_rules: a_version_nobody_speaks_is_refused_with_those_that_are_spoken",
    ),
    must(
        "DISCOVER",
        "`server/discover` is answered with versions, abilities and identity.",
        new("basic/versioning#protocol-version-negotiation", "server/discover"),
        "listeners/http_modern: discover_says_what_we_are_and_which_versions_we_serve",
        "listeners/stdio_eras: a_modern_connection_answers_and_refuses_the_handshake",
    ),
    must(
        "EXTENSION-NAMES",
        "Extension identifiers follow the rules of `_meta` keys.",
        new("basic/versioning#extension-negotiation"),
        "core/wire/meta: every_key_and_extension_of_ours_is_a_name_after_a_prefix_of_labels",
        "core/faces: extensions_are_united",
    ),
    must(
        "EXTENSION-ONE-SIDED",
        "Where the other side lacks an extension, the core protocol is spoken or the request is refused.",
        new("basic/versioning#extension-negotiation"),
        "runtime/task_bridge: a_tool_that_must_be_a_legacy_task_is_a_call_for_a_modern_client_without_the_extension",
        "scenarios/tasks: clients_without_tasks_use_tools_that_only_work_as_tasks only_who_declares_the_extension_may_listen_for_tasks",
        "core/listing: tools_for_apps_alone_are_listed_only_to_who_shows_apps",
    ),
)

LIFECYCLE = (
    must(
        "INIT-FIRST",
        "A legacy conversation begins with `initialize`.",
        old("basic/lifecycle#initialization"),
        "listeners/stdio_eras: a_legacy_connection_needs_initialize_and_refuses_modern_requests "
        "a_request_right_behind_initialize_finds_the_session",
        "listeners/http_legacy: requests_need_a_session_that_exists",
    ),
    must(
        "INIT-REQUEST",
        "As a client we send version, abilities and identity.",
        old("basic/lifecycle#initialization"),
        "backends/mcp_handshake: initialize_offers_our_newest_version_and_confirms",
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
    ),
    must(
        "INIT-ANSWER",
        "As a server we answer with our abilities and identity.",
        old("basic/lifecycle#initialization"),
        "listeners/http_legacy: initialize_opens_a_session_of_the_asked_version",
        "runtime/gateway: the_face_is_made_of_all_backends_of_the_view",
    ),
    must(
        "INIT-CONFIRM",
        "As a client we confirm with `notifications/initialized` before anything else.",
        old("basic/lifecycle#initialization"),
        "backends/mcp_handshake: initialize_offers_our_newest_version_and_confirms "
        "a_notification_may_be_sent_asynchronously",
    ),
    must(
        "INIT-VERSION-ASKED",
        "A client asks for a version that it speaks.",
        old("basic/lifecycle#version-negotiation"),
        "backends/mcp_handshake: initialize_offers_our_newest_version_and_confirms the_clients_legacy_version_is_offered_first",
    ),
    must(
        "INIT-VERSION-ANSWERED",
        "A version that we speak is agreed to; for any other we offer one of ours.",
        old("basic/lifecycle#version-negotiation"),
        "listeners/http_legacy: initialize_opens_a_session_of_the_asked_version "
        "an_unknown_version_is_offered_the_newest_one_and_nonsense_is_invalid",
        "core/wire/versions: a_legacy_version_that_we_speak_is_agreed_to a_modern_version_is_never_agreed_to_by_initialize",
    ),
    must(
        "INIT-VERSION-HEADER",
        "Over HTTP every later request names the agreed version.",
        old("basic/lifecycle#version-negotiation", "basic/transports#protocol-version-header"),
        "backends/mcp_http_legacy: the_session_and_the_version_are_named_from_the_first_message_on",
        "scenarios/http_rules: every_message_to_a_legacy_backend_says_which_revision_was_agreed",
    ),
    must(
        "OPERATION",
        "Both sides keep to the agreed version and use only abilities that were agreed.",
        old("basic/lifecycle#operation"),
        "listeners/http_legacy: an_error_is_an_answer_too_and_an_undeclared_ability_is_never_asked_for",
        "backends/mcp_offers: a_kind_without_its_capability_is_not_asked_for",
        "scenarios/era_matrix: a_client_is_never_asked_what_it_did_not_declare",
    ),
)

STDIO = (
    must(
        "STDIO-LINES",
        "Messages are lines; no message has a line end inside.",
        old("basic/transports#stdio") + new("basic/transports/stdio"),
        "listeners/stdio_eras: nothing_a_backend_says_can_break_a_line",
        "listeners/pipes: lines_are_the_same_however_the_stream_is_cut a_writer_keeps_messages_on_lines_of_their_own",
        "listeners/mcp_server: a_result_on_one_line_says_the_same",
    ),
    must(
        "STDIO-OUT",
        "A server writes nothing to its standard output but messages.",
        old("basic/transports#stdio") + new("basic/transports/stdio"),
        "listeners/stdio: standard_output_belongs_to_the_protocol_and_files_work_too",
        "scenarios/quirks: a_server_that_logs_to_stdout_is_understood_all_the_same",
    ),
    must(
        "STDIO-IN",
        "A client writes nothing to a server's standard input but messages.",
        old("basic/transports#stdio") + new("basic/transports/stdio", "basic/transports/stdio#sending-messages"),
        "backends/child: lines_go_both_ways_and_the_last_needs_no_line_feed",
        "backends/mcp_link: params_that_are_no_json_are_refused_before_they_are_sent",
    ),
    must(
        "STDIO-SUBSCRIPTION-ID",
        "On a pipe, notifications of a subscription are told apart by the id of its request.",
        new("basic/transports/stdio#receiving-messages", "basic/patterns/subscriptions#receiving-notifications"),
        "backends/mcp_link: a_subscription_id_tells_the_call",
        "listeners/stdio_eras: a_subscription_on_a_pipe_is_heard_until_it_is_cancelled",
    ),
    must(
        "STDIO-NO-REQUESTS",
        "A modern server sends no requests.",
        new("basic/transports/stdio#receiving-messages", "basic/patterns/index"),
        "listeners/http_modern: modern_clients_are_not_asked",
        "scenarios/era_matrix: a_question_reaches_the_client_untouched_and_its_answer_the_call",
    ),
    must(
        "STDIO-CANCEL",
        "A client cancels a request on a pipe by notification, and hears no more of it.",
        new("basic/transports/stdio#cancellation", "basic/patterns/cancellation#transport-specific-cancellation"),
        "backends/mcp_stdio: a_cancelled_call_is_told_to_the_server_and_the_session_stays",
        "listeners/stdio_eras: a_cancelled_request_gets_no_answer_and_others_go_on",
    ),
    must(
        "STDIO-FALLBACK",
        "Whatever a server answers to the probe that is no modern error, or nothing at all, leads to `initialize`.",
        new("basic/transports/stdio#backward-compatibility"),
        "backends/mcp_stdio: the_era_is_found_whatever_the_server_does_with_the_question "
        "a_server_that_never_answers_what_it_does_not_know_is_asked_both_questions",
        "backends/mcp_handshake: anything_else_is_no_evidence_of_a_modern_server",
    ),
    must(
        "CUSTOM-TRANSPORT",
        "A transport of one's own keeps message format and lifecycle.",
        old("basic/transports#custom-transports")
        + new("basic/transports/index#custom-transports", "basic/transports/index#messages"),
        why="we have none",
    ),
)

HTTP = (
    must(
        "HTTP-ENDPOINT",
        "There is one path for all of it.",
        old("basic/transports#streamable-http") + new("basic/transports/streamable-http"),
        "listeners/http: both_eras_are_served_at_the_same_path_at_the_same_time a_path_of_ones_own_is_served",
    ),
    must(
        "HTTP-ORIGIN",
        "`Origin` is checked on every connection; a wrong one gets 403.",
        old("basic/transports#security-warning") + new("basic/transports/streamable-http#security-endpoint"),
        "listeners/http_guard: other_origins_are_forbidden the_guard_stands_before_every_path_and_method",
    ),
    must(
        "HTTP-POST",
        "Every message of a client is a POST of its own, with one request or notification (before: or response).",
        old("basic/transports#sending-messages-to-the-server")
        + new("basic/transports/streamable-http#sending-messages"),
        "backends/mcp_http_modern: a_call_is_one_post_with_the_headers_and_the_meta_of_the_revision",
        "listeners/http_modern: a_body_that_is_no_single_message_is_refused",
        "listeners/http_legacy: batches_belong_to_one_version malformed_bodies_are_refused",
    ),
    must(
        "HTTP-NO-RESPONSES",
        "A modern client sends no responses.",
        new("basic/transports/streamable-http#sending-messages"),
        "listeners/http_modern: a_body_that_is_no_single_message_is_refused",
        "scenarios/era_matrix: several_questions_at_once_and_several_rounds",
    ),
    must(
        "HTTP-ACCEPT",
        "A client takes JSON and event streams, and says so in `Accept`.",
        old("basic/transports#sending-messages-to-the-server")
        + new("basic/transports/streamable-http#sending-messages"),
        "backends/mcp_http_modern: a_call_is_one_post_with_the_headers_and_the_meta_of_the_revision",
        "scenarios/http_rules: the_answer_of_a_call_is_json_or_events_and_says_the_same",
    ),
    must(
        "HTTP-ACCEPTED",
        "A notification (before: or response) that is taken gets 202 without a body, one that is not an error status.",
        old("basic/transports#sending-messages-to-the-server")
        + new("basic/transports/streamable-http#sending-messages"),
        "listeners/http_legacy: notifications_and_answers_are_accepted",
        "listeners/http_modern: notifications_are_taken_at_a_served_version_only",
        "scenarios/http_rules: statuses_of_the_modern_endpoint statuses_of_the_legacy_endpoint",
    ),
    must(
        "HTTP-REPLY",
        "A request is answered with JSON or with an event stream.",
        old("basic/transports#sending-messages-to-the-server")
        + new("basic/transports/streamable-http#sending-messages"),
        "listeners/http_reply: a_result_at_once_is_json_in_two_sends_and_nobody_watches "
        "a_message_before_the_result_makes_it_a_stream",
    ),
    must(
        "HTTP-RETRY",
        "A client waits as long as the server's `retry` says before it connects anew.",
        old("basic/transports#sending-messages-to-the-server"),
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
        "backends/mcp_http_legacy: a_dropped_stream_is_resumed_where_it_ended",
    ),
    must(
        "HTTP-STREAM-RELATED",
        "What comes on the stream of a modern reply before the result belongs to that request.",
        new("basic/transports/streamable-http#receiving-messages"),
        "listeners/http_modern: progress_turns_the_reply_into_events_in_order log_lines_need_the_requests_own_level",
    ),
    must(
        "HTTP-STREAM-NO-REQUESTS",
        "No requests come on it.",
        new("basic/transports/streamable-http#receiving-messages"),
        "listeners/http_modern: modern_clients_are_not_asked",
        "backends/mcp_http_reading: what_belongs_to_no_call_goes_to_the_outside_and_requests_of_the_server_are_noted",
    ),
    must(
        "HTTP-CLOSE-CANCELS",
        "A modern client that closes the stream of a request cancels it, and nothing more is sent for it.",
        new(
            "basic/transports/streamable-http#cancellation",
            "basic/patterns/cancellation#transport-specific-cancellation",
        ),
        "listeners/http_modern: a_client_that_leaves_cancels_its_run",
        "backends/mcp_http_modern: cancelling_a_call_closes_its_connection_and_no_other",
    ),
    must(
        "HTTP-GET",
        "GET opens an event stream or gets 405.",
        old("basic/transports#listening-for-messages-from-the-server"),
        "listeners/http_legacy: the_get_stream_tells_what_changed_and_there_is_one_per_session",
        "listeners/http_modern: other_http_methods_are_told_what_is_allowed",
        "backends/mcp_http_legacy: the_get_stream_brings_changes_and_is_opened_again_with_the_last_event",
    ),
    must(
        "HTTP-GET-NO-RESPONSES",
        "No response comes on the stream of a GET that resumes nothing.",
        old("basic/transports#listening-for-messages-from-the-server"),
        "listeners/http_legacy: the_get_stream_tells_what_changed_and_there_is_one_per_session",
    ),
    must(
        "HTTP-ONE-STREAM",
        "A message goes out on one stream only.",
        old("basic/transports#multiple-connections"),
        "listeners/http_legacy: the_get_stream_tells_what_changed_and_there_is_one_per_session "
        "a_question_goes_out_on_the_reply_of_the_call_and_its_answer_comes_by_post",
        "listeners/sessions: a_question_finds_another_way_when_its_reply_is_gone",
    ),
    must(
        "HTTP-SESSION-ID",
        "A session id is visible ASCII, hard to guess, and named in every request after the first.",
        old("basic/transports#session-management"),
        "listeners/http_legacy: requests_need_a_session_that_exists a_session_belongs_to_its_profile",
        "backends/mcp_http_legacy: the_session_and_the_version_are_named_from_the_first_message_on",
        "conformance/suite: every_check_of_every_scenario_ends_through_the_gateway_as_it_does_directly",
    ),
    must(
        "HTTP-SESSION-OVER",
        "A session that is over gets 404; a client then begins another.",
        old("basic/transports#session-management"),
        "listeners/http_legacy: delete_ends_the_session_and_its_runs requests_need_a_session_that_exists",
        "scenarios/http_rules: a_legacy_backend_that_forgot_the_session_gets_a_new_one_for_the_next_call",
    ),
    must(
        "HTTP-OLD-VERSION",
        "A version header that is not served gets 400.",
        old("basic/transports#protocol-version-header"),
        "listeners/http_legacy: an_unknown_version_header_is_refused",
    ),
    must(
        "HTTP-NEW-VERSION",
        "Every modern POST names its version, the same as in the body; one that is not served gets 400 and -32022.",
        new("basic/transports/streamable-http#protocol-version-header"),
        "listeners/http_modern: headers_that_disagree_with_the_body_are_refused an_unknown_version_is_told_which_are_served",
        "listeners/http_legacy: a_modern_request_without_its_header_is_told_so",
        "backends/mcp_http_modern: a_call_is_one_post_with_the_headers_and_the_meta_of_the_revision",
    ),
    must(
        "HTTP-NO-METHOD",
        "A method that does not exist gets 404 with -32601.",
        new("basic/transports/streamable-http#protocol-version-header"),
        "listeners/http_modern: methods_that_this_era_has_not_are_not_found gateway_errors_have_the_status_of_their_code",
    ),
    must(
        "HTTP-STANDARD-HEADERS",
        "Method and name travel as headers, the name in Base64 where it is not plain ASCII.",
        new(
            "basic/transports/streamable-http#standard-request-headers",
            "basic/transports/streamable-http#sending-messages",
        ),
        "core/wire/headers: every_string_survives_a_header the_name_bearing_methods_are_those_of_the_revision",
        "scenarios/http_rules: a_modern_backend_gets_headers_that_fit_its_own_names a_name_that_no_header_can_carry_travels_in_base64",
    ),
    must(
        "HTTP-PARAM-SUPPORT",
        "Arguments that a tool marks with `x-mcp-header` travel as headers, from their exact places.",
        new(
            "basic/transports/streamable-http#custom-headers-from-tool-parameters",
            "basic/transports/streamable-http#client-behavior",
        ),
        "core/wire/headers: arguments_are_mirrored_with_their_paths what_we_mirror_is_what_the_reference_mirrors_and_both_accept",
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
    ),
    must(
        "HTTP-PARAM-RULES",
        "Such a mark is a token, unique whatever its case, on a primitive that is reached through properties alone.",
        new("basic/transports/streamable-http#schema-extension", "server/tools#x-mcp-header"),
        "core/wire/headers: annotations_against_the_rules_are_found_as_the_reference_finds_them "
        "annotations_inside_data_are_no_annotations",
    ),
    must(
        "HTTP-PARAM-REJECT",
        "A tool whose marks break the rules is left out of the list; the others stay.",
        new("basic/transports/streamable-http#schema-extension", "server/tools#x-mcp-header"),
        "core/catalog: a_tool_with_a_header_annotation_that_is_invalid_is_not_shown_to_modern_clients",
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
    ),
    must(
        "HTTP-PARAM-ENCODING",
        "Values are written as the rules of encoding say, in Base64 where they are not plain, and read likewise.",
        new("basic/transports/streamable-http#value-encoding"),
        "core/wire/headers: every_string_survives_a_header a_malformed_sentinel_matches_nothing plain_values_travel_as_they_are",
    ),
    must(
        "HTTP-PARAM-CHARACTERS",
        "A known parameter header with characters that only Base64 may carry is refused, whatever the argument is.",
        new(
            "basic/transports/streamable-http#server-behavior-for-custom-headers",
            "basic/transports/streamable-http#server-validation",
        ),
        "core/wire/headers: a_value_that_only_base64_may_carry_is_refused_as_it_is",
    ),
    must(
        "HTTP-PARAM-SAFE",
        "Integers that travel as headers are within 2^53.",
        new("basic/transports/streamable-http#schema-extension", "server/tools#x-mcp-header"),
        "core/wire/headers: integers_compare_as_numbers_and_huge_ones_exactly",
        why="binds whoever makes the schema and the argument; larger ones travel exactly, for the official SDK takes them",
    ),
    must(
        "HTTP-PARAM-ABSENT",
        "A null or missing argument has no header, and none is expected.",
        new("basic/transports/streamable-http#server-behavior-for-custom-headers"),
        "scenarios/http_rules: an_argument_without_a_header_form_or_value_sends_no_header",
        "core/wire/headers: our_verdict_on_foreign_headers_is_that_of_the_reference",
        "core/plan: null_stands_for_an_argument_that_is_left_out",
    ),
    must(
        "HTTP-PARAM-CHECK",
        "Headers of marked arguments that are missing, malformed or different from the body are refused.",
        new("basic/transports/streamable-http#server-behavior-for-custom-headers"),
        "listeners/http_modern: annotated_arguments_must_agree_with_their_headers",
        "scenarios/http_rules: parameter_headers_of_a_client_must_fit_its_arguments_whatever_the_backend_speaks",
    ),
    must(
        "HTTP-PARAM-FORWARD",
        "An intermediary forwards parameter headers that it does not know.",
        new("basic/transports/streamable-http#server-behavior-for-custom-headers"),
        why="we end the client's HTTP and begin our own: headers are made anew from the schema of the server that is called",
    ),
    must(
        "HTTP-CASE",
        "Header names are compared whatever their case.",
        new("basic/transports/streamable-http#case-sensitivity"),
        "listeners/http_modern: headers_are_read_as_http_says",
    ),
    must(
        "HTTP-MISMATCH",
        "Headers that disagree with the body are refused with 400 and -32020.",
        new("basic/transports/streamable-http#server-validation"),
        "listeners/http_modern: headers_that_disagree_with_the_body_are_refused the_ladder_passes_exactly_what_agrees_with_itself "
        "a_routing_header_that_comes_twice_is_refused",
    ),
)

RESUMING = (
    must(
        "RESUME-IDS",
        "Event ids, where there are any, are unique in a session.",
        old("basic/transports#resumability-and-redelivery"),
        "listeners/replay: a_stream_begins_with_a_place_to_resume_from_and_numbers_its_events",
    ),
    must(
        "RESUME-OWN-STREAM",
        "Only messages of the stream that broke off are sent again.",
        old("basic/transports#resumability-and-redelivery"),
        "listeners/replay: only_the_stream_that_was_lost_is_replayed_and_it_goes_on",
    ),
)

UTILITIES = (
    must(
        "CANCEL-OWN",
        "Only one's own requests are cancelled, and only while they are open.",
        old("basic/utilities/cancellation#behavior-requirements")
        + new("basic/patterns/cancellation#behavior-requirements"),
        "backends/mcp_link: cancelling_tells_the_server_and_forgets_the_call nothing_is_cancelled_when_the_answer_came_first",
    ),
    must(
        "CANCEL-NOT-INITIALIZE",
        "`initialize` is not cancelled.",
        old("basic/utilities/cancellation#behavior-requirements"),
        "backends/mcp_link: initialize_is_never_cancelled_on_the_wire",
    ),
    must(
        "CANCEL-TASKS",
        "A task is cancelled by `tasks/cancel`, not by the notification.",
        old("basic/utilities/cancellation#behavior-requirements"),
        "runtime/task_bridge: cancelling_reaches_the_legacy_task a_legacy_client_cancels_a_modern_task_and_stops_waiting_without_cancelling_it",
    ),
    must(
        "CANCEL-RACES",
        "A cancel that comes too late, or for nothing, does no harm.",
        old("basic/utilities/cancellation#timing-considerations")
        + new("basic/patterns/cancellation#timing-considerations"),
        "scenarios/quirks: a_cancel_after_every_finished_call_cancels_nothing a_cancel_after_every_finished_call_over_http",
        "backends/mcp_link: unknown_ids_are_ignored_in_silence",
    ),
    must(
        "CANCEL-BY-SERVER",
        "A modern server cancels nothing but subscriptions, and says so when it ends one.",
        new("basic/patterns/cancellation", "basic/patterns/cancellation#behavior-requirements"),
        "listeners/stdio_eras: subscriptions_end_with_their_result_when_the_listener_stops",
        "listeners/http: stopping_lets_calls_finish_and_ends_streams_with_their_result",
        why="the page on subscriptions ends one with the result of its request, as the official SDK and suite do: so do we",
    ),
    must(
        "PING",
        "A ping is answered at once with an empty result.",
        old("basic/utilities/ping#behavior-requirements"),
        "backends/mcp_link: a_ping_is_answered_and_an_unknown_request_refused",
        "listeners/http_legacy: methods_of_the_session_are_answered_in_place",
    ),
    must(
        "PROGRESS-TOKEN",
        "A progress token is a string or an integer, and unique among open requests.",
        old("basic/utilities/progress#progress-flow") + new("basic/patterns/progress#progress-flow"),
        "listeners/calls: a_progress_token_that_is_no_string_or_integer_asks_for_nothing",
        "backends/mcp_link: progress_reaches_its_call_in_wire_order_before_the_result",
    ),
    must(
        "PROGRESS-GROWS",
        "Progress only grows.",
        old("basic/utilities/progress#progress-flow") + new("basic/patterns/progress#progress-flow"),
        "scenarios/quirks: progress_all_arrives_in_order_and_never_together_with_the_result",
        "backends/mcp_stdio: two_hundred_steps_of_progress_come_in_order_before_the_result",
        why=PASSED_ON + ", each in its place; the gateway makes no progress of its own",
    ),
    must(
        "PROGRESS-KNOWN",
        "Progress names a token that was given in a request that is open.",
        old("basic/utilities/progress#behavior-requirements") + new("basic/patterns/progress#behavior-requirements"),
        "listeners/mcp_server: progress_carries_the_clients_own_token_and_without_one_is_dropped",
        "backends/mcp_link: progress_for_an_unknown_token_is_dropped",
    ),
    must(
        "PROGRESS-ENDS",
        "After the end there is no progress.",
        old("basic/utilities/progress#implementation-notes") + new("basic/patterns/progress#implementation-notes"),
        "scenarios/quirks: progress_all_arrives_in_order_and_never_together_with_the_result",
        "runtime/run: progress_is_passed_on_only_to_those_who_want_it",
    ),
    must(
        "PROGRESS-OF-TASKS",
        "The token of a request that became a task stays good until the task ends.",
        old("basic/utilities/progress#behavior-requirements"),
        why="binds whoever sends progress of a task; the gateway sends none once a request has become a task, only its state",
    ),
    must(
        "LISTEN-ONLY-WANTED",
        "A subscription brings only what was asked for.",
        new("basic/patterns/subscriptions#opening-a-stream"),
        "listeners/http_modern: a_subscription_is_acknowledged_then_hears_only_what_it_asked_for",
        "listeners/mcp_subscriptions: only_what_is_wanted_and_known_is_kept",
    ),
    must(
        "LISTEN-ACKNOWLEDGED",
        "The first message of a subscription acknowledges it; nothing comes before.",
        new("basic/patterns/subscriptions#acknowledgment"),
        "listeners/http_modern: a_subscription_is_acknowledged_then_hears_only_what_it_asked_for what_is_acknowledged_is_what_was_asked",
    ),
    must(
        "LISTEN-ID",
        "What a subscription brings carries its id.",
        new("basic/index#meta", "basic/patterns/subscriptions#receiving-notifications"),
        "listeners/mcp_server: events_become_notifications_with_the_subscription_in_meta",
        "listeners/stdio_eras: a_subscription_on_a_pipe_is_heard_until_it_is_cancelled",
    ),
    must(
        "LISTEN-AGAIN",
        "A client whose subscription was ended asks for it anew.",
        new("basic/patterns/subscriptions#graceful-closure"),
        "backends/mcp_watch: a_request_that_the_server_ends_is_opened_again_and_what_was_missed_is_assumed_changed",
        "backends/mcp_http_modern: changes_are_heard_by_one_listening_request_that_is_opened_again_when_it_drops",
        "scenarios/notifications: a_subscription_outlives_the_backend_it_was_made_with",
    ),
)

INPUT = (
    must(
        "INPUT-BY-RESULT",
        "A modern server asks by the result of a request and in no other way.",
        new("basic/patterns/mrtr"),
        "scenarios/era_matrix: a_question_reaches_the_client_untouched_and_its_answer_the_call",
        "runtime/asking: a_legacy_backends_question_reaches_a_modern_client_and_its_answer_the_same_call",
    ),
    must(
        "INPUT-WHERE",
        "Only `tools/call`, `prompts/get` and `resources/read` are answered with questions.",
        new("basic/patterns/mrtr#supported-requests"),
        "scenarios/era_matrix: prompts_and_resources_may_ask_too",
        "runtime/questions: only_requests_that_may_ask_are_answered_with_questions",
        "conformance/suite: every_check_of_every_scenario_ends_through_the_gateway_as_it_does_directly",
    ),
    must(
        "INPUT-KEYS",
        "Each question has a key of its own and is an elicitation, a sampling or a request for roots.",
        new("basic/patterns/mrtr#server-requirements-basic-workflow"),
        "scenarios/era_matrix: several_questions_at_once_and_several_rounds",
        "runtime/asking: questions_asked_together_are_shown_together_and_may_be_answered_in_parts",
        "backends/mcp_link: a_ping_is_answered_and_an_unknown_request_refused",
    ),
    must(
        "INPUT-STATE-HOSTILE",
        "State that comes back is an attacker's until proved ours; what fails the proof is refused.",
        new("basic/patterns/mrtr#server-requirements-basic-workflow", "basic/patterns/mrtr#security-considerations"),
        "scenarios/era_matrix: a_state_opens_for_nothing_but_the_call_it_was_made_for",
        "identity/sealing: a_changed_byte_anywhere_is_noticed another_bond_or_another_key_opens_nothing",
        "core/bonds: another_argument_tool_method_principal_or_profile_has_another_bond",
    ),
    must(
        "INPUT-STATE-ONCE",
        "Where a state may be used once only, the server sees to it.",
        new("basic/patterns/mrtr#server-requirements-basic-workflow"),
        "scenarios/era_matrix: a_state_of_a_waiting_call_is_good_once two_retries_at_once_answer_a_question_once",
    ),
    must(
        "INPUT-SOMETHING",
        "A result that asks has questions or a state.",
        new("basic/patterns/mrtr#server-requirements-basic-workflow"),
        "scenarios/era_matrix: what_is_not_answered_is_asked_again",
        "runtime/questions: a_server_that_only_wants_to_be_called_again_is_given_time "
        "a_server_that_wants_nothing_and_gives_no_state_is_not_called_again",
    ),
    must(
        "INPUT-DECLARED",
        "A client is sent no question that it did not declare.",
        new("basic/patterns/mrtr#server-requirements-basic-workflow"),
        "scenarios/era_matrix: a_client_is_never_asked_what_it_did_not_declare",
        "runtime/questions: a_modern_client_is_spared_questions_that_it_did_not_declare",
    ),
    must(
        "INPUT-NO-PROMISE",
        "Nobody relies on an answer or on a retry.",
        new("basic/patterns/mrtr#server-requirements-basic-workflow"),
        "scenarios/questions_in_trouble: a_question_that_nobody_answers_in_time_is_dismissed "
        "calls_that_wait_are_bounded_and_the_one_too_many_is_declined",
    ),
    must(
        "INPUT-ANSWER-FIRST",
        "As a client we have the answers before we ask again.",
        new("basic/patterns/mrtr#client-requirements-basic-workflow"),
        "runtime/questions: a_legacy_client_is_asked_in_place_and_the_call_goes_on_with_its_answers",
        "scenarios/era_matrix: several_questions_at_once_and_several_rounds",
    ),
    must(
        "INPUT-STATE-ECHO",
        "As a client we give the state back exactly, unread, and none where there was none.",
        new("basic/patterns/mrtr#client-requirements-basic-workflow", "basic/patterns/mrtr#inputrequiredresult"),
        "runtime/asking: the_state_of_a_modern_backend_is_sealed_on_its_way_and_comes_back_to_it_untouched",
        "scenarios/era_matrix: a_modern_server_without_a_state_of_its_own_gets_none_back",
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
    ),
    must(
        "INPUT-NEW-ID",
        "A retry has an id of its own.",
        new("basic/patterns/mrtr#client-requirements-basic-workflow", "server/tools#input-required-tool-results"),
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
    ),
    must(
        "INPUT-OWN-RETRY",
        "Answers and state go into the retry of the request that they belong to and into no other.",
        new("basic/patterns/mrtr#client-requirements-basic-workflow"),
        "conformance/suite_client: a_client_before_the_gateway_does_what_it_does_before_the_server",
        "scenarios/questions_in_trouble: no_question_ever_reaches_anybody_but_the_client_whose_call_asks",
    ),
)

ELICITATION = (
    must(
        "ELICIT-DECLARED",
        "A client that can be elicited says so, and names at least one mode.",
        both("client/elicitation#capabilities"),
        "scenarios/era_matrix: the_server_sees_what_this_client_can_be_asked",
        "runtime/supervisor: clients_that_can_be_asked_get_legacy_sessions_of_their_own",
    ),
    must(
        "ELICIT-MODES",
        "Nobody is asked in a mode that it did not declare.",
        both("client/elicitation#capabilities"),
        "core/translate/questions: elicitation_has_two_modes_since_2025_11_25",
        "scenarios/era_matrix: a_client_is_never_asked_what_it_did_not_declare",
    ),
    must(
        "ELICIT-MEMBERS",
        "A request has its mode, message, and schema or address.",
        both(
            "client/elicitation#elicitation-requests",
            "client/elicitation#form-mode-elicitation-requests",
            "client/elicitation#url-mode-elicitation-requests",
        ),
        "scenarios/era_matrix: a_question_reaches_the_client_untouched_and_its_answer_the_call",
        "runtime/questions: a_url_question_gets_the_id_that_legacy_clients_require",
    ),
    must(
        "ELICIT-NO-MODE",
        "A request without a mode is a form.",
        both("client/elicitation#elicitation-requests"),
        "core/translate/questions: elicitation_has_two_modes_since_2025_11_25",
        "core/answers: a_form_is_filled_in_from_defaults_fields_and_the_option",
    ),
    must(
        "ELICIT-COMPLETE",
        "The word that an address was dealt with goes only to the client that was asked, under the id it was asked with.",
        old("client/elicitation#completion-notifications-for-url-mode-elicitation"),
        "runtime/run: the_word_that_an_address_was_dealt_with_goes_to_legacy_clients_alone",
        "backends/mcp_link: the_word_that_an_address_was_dealt_with_is_for_the_client_that_was_asked",
        "runtime/outside: that_an_address_was_dealt_with_is_told_once_to_whoever_was_asked_to_visit_it "
        "a_modern_server_has_no_such_messages",
        "scenarios/outside_of_calls: that_an_address_was_dealt_with_reaches_the_client_that_was_to_visit_it",
    ),
    must(
        "ELICIT-URL-ERROR",
        "-32042 is answered only when an address must be visited, and lists such addresses with their ids.",
        old("client/elicitation#url-elicitation-required-error"),
        "scenarios/era_matrix: a_server_that_wants_an_address_visited_first",
        "runtime/questions: a_legacy_client_that_can_visit_addresses_gets_the_error_as_it_is",
        "scenarios/official_peers_ask: an_address_that_the_typescript_server_wants_visited_first_is_shown_to_a_modern_client",
    ),
    must(
        "ELICIT-STATE",
        "What is kept of an elicitation belongs to a user, not to a session alone, and is out of reach of others.",
        both("client/elicitation#statefulness"),
        "runtime/parking: a_run_is_found_by_its_owner_only",
        "core/bonds: another_argument_tool_method_principal_or_profile_has_another_bond",
    ),
    must(
        "ELICIT-BOUND",
        "An elicitation is bound to the client and the user whom it asks.",
        both("client/elicitation#security-considerations"),
        "scenarios/questions_in_trouble: no_question_ever_reaches_anybody_but_the_client_whose_call_asks "
        "a_state_is_bound_to_the_profile_it_was_made_at",
        "runtime/asking: a_state_is_refused_for_anything_but_the_call_it_was_made_for",
    ),
    must(
        "ELICIT-DECLINED",
        "A decline, a dismissal and a failure to ask are dealt with.",
        both("client/elicitation#error-handling"),
        "scenarios/era_matrix: a_person_may_decline_or_dismiss",
        "runtime/questions: an_error_as_answer_ends_the_call",
    ),
    must(
        "ELICIT-SECRETS",
        "Servers ask for secrets by address only, keep them from the client, and put none into addresses.",
        both(
            "client/elicitation#user-interaction-model",
            "client/elicitation#safe-url-handling",
            "client/elicitation#form-mode-security",
            "client/elicitation#understanding-the-distinction",
            "client/elicitation#url-mode-elicitation-for-oauth-flows",
        ),
        why=PASSED_ON,
    ),
    must(
        "ELICIT-URL-NOT-FETCHED",
        "Nobody fetches or opens an address but a person who agreed to.",
        both("client/elicitation#safe-url-handling"),
        "runtime/desk: a_question_waits_until_it_is_answered",
        "core/answers: an_address_is_agreed_to_as_it_is",
        why="there is nothing in the gateway that could: an address is text on its way, or shown by `runs show`",
    ),
    must(
        "ELICIT-WHO",
        "Servers make sure by themselves who it is that visits an address.",
        both("client/elicitation#identifying-the-user", "client/elicitation#phishing"),
        why=PASSED_ON,
    ),
    must(
        "ELICIT-SHOWN",
        "Clients show who asks, the whole address, and ways to decline.",
        both("client/elicitation#user-interaction-model", "client/elicitation#safe-url-handling"),
        why=NO_SCREEN,
    ),
)

SAMPLING_AND_ROOTS = (
    must(
        "SAMPLING-DECLARED",
        "A client that samples says so; nobody else is asked.",
        both("client/sampling#capabilities"),
        "scenarios/era_matrix: a_client_is_never_asked_what_it_did_not_declare the_server_sees_what_this_client_can_be_asked",
    ),
    must(
        "SAMPLING-TOOLS",
        "Tools are offered for sampling only to a client that declared that.",
        both("client/sampling#tools-in-sampling"),
        "core/translate/questions: sampling_with_tools_is_an_ability_of_its_own",
        "scenarios/era_matrix: a_client_is_never_asked_what_it_did_not_declare",
    ),
    must(
        "SAMPLING-MESSAGES",
        "Roles, tool results and tool choices in messages keep to their rules.",
        both(
            "client/sampling#tool-result-messages",
            "client/sampling#tool-use-and-result-balance",
            "client/sampling#tool-choice-modes",
        )
        + new("client/sampling#messages", "client/sampling#sampling-parameters"),
        "scenarios/era_matrix: a_question_reaches_the_client_untouched_and_its_answer_the_call",
        why=PASSED_ON,
    ),
    must(
        "SAMPLING-SENSITIVE",
        "Sensitive data is dealt with as such.",
        both("client/sampling#security-considerations"),
        "runtime/run_actions: a_question_is_shown_and_answered_and_the_journal_says_by_whom",
        "runtime/run: start_and_end_of_a_run_are_journalled_with_reasons_and_a_digest_of_the_arguments",
    ),
    must(
        "ROOTS-DECLARED",
        "A client that has roots says so.",
        both("client/roots#capabilities"),
        "scenarios/era_matrix: the_server_sees_what_this_client_can_be_asked",
    ),
    must(
        "ROOTS-CHANGED",
        "A client whose roots change tells the servers that may know.",
        old("client/roots#root-list-changes"),
        "runtime/gateway: notifications_of_a_client_reach_its_own_backend_sessions",
        "backends/mcp_stdio: a_notification_of_the_client_is_passed_on",
    ),
    must(
        "ROOTS-FILES",
        "A root is a file address, and one that the server may see.",
        both("client/roots#root", "client/roots#security-considerations"),
        "scenarios/era_matrix: a_question_reaches_the_client_untouched_and_its_answer_the_call",
        why=OF_THE_CLIENT,
    ),
)

SERVERS = (
    must(
        "LISTS-DECLARED",
        "Tools, resources, prompts, completion and logging are declared where there are any.",
        both(
            "server/tools#capabilities",
            "server/resources#capabilities",
            "server/prompts#capabilities",
            "server/utilities/completion#capabilities",
            "server/utilities/logging#capabilities",
        ),
        "core/faces: lists_are_declared_with_list_changed_when_any_server_has_them all_lists_are_declared_while_a_server_is_still_unknown",
        "runtime/gateway: the_face_is_made_of_all_backends_of_the_view",
    ),
    must(
        "LISTS-ANSWERED",
        "What is declared is listed, the same on every connection and whatever was asked before.",
        new("server/tools#capabilities", "server/resources#capabilities", "server/prompts#capabilities"),
        "scenarios/official_clients: every_client_sees_the_same_tools_in_the_same_order",
        "core/listing: all_pages_together_are_the_whole_list_in_order",
    ),
    must(
        "TOOL-ANNOTATIONS",
        "Annotations of a tool are claims of its server.",
        both("server/tools#tool"),
        why=OF_THE_CLIENT + "; the gateway decides nothing by them yet",
    ),
    must(
        "TOOL-OUTPUT",
        "Structured results fit the schema that was promised.",
        both("server/tools#output-schema"),
        "core/translate/outcomes: within_an_era_the_bytes_are_the_bytes structured_content_that_is_no_object_reaches_legacy_clients_as_text",
        "core/listing: an_output_schema_that_legacy_clients_refuse_is_taken_off_for_them_only",
    ),
    must(
        "TOOL-INPUTS",
        "Inputs of tools are checked.",
        both("server/tools#security-considerations"),
        "core/plan: bad_arguments_are_refused_before_anything_is_sent",
        "core/translate/outcomes: a_refusal_is_a_tool_result_that_the_model_can_read",
    ),
    must(
        "TOOL-ACCESS",
        "Access to tools is controlled and its rate limited.",
        both("server/tools#security-considerations"),
        "core/plan: a_profile_hides_from_calls_what_it_hides_from_lists",
        "listeners/stdio: a_flood_waits_instead_of_growing",
        "runtime/session_table: busy_sessions_do_not_give_way_and_whoever_waits_is_woken",
    ),
    must(
        "RESOURCE-MISSING",
        "A resource that does not exist is an error, never an empty answer.",
        new("server/resources#error-handling"),
        "core/plan: a_missing_resource_has_the_code_of_the_clients_era",
        "core/translate/outcomes: a_legacy_not_found_has_the_modern_code_for_modern_clients",
    ),
    must(
        "RESOURCE-URIS",
        "URIs keep to RFC 3986 and are checked.",
        both("server/resources#custom-uri-schemes", "server/resources#security-considerations"),
        "core/uris: a_qualified_uri_gives_back_server_and_original other_uris_are_not_taken_for_qualified_ones",
        "scenarios/resources: definitions_of_resources_and_templates_pass_untouched",
    ),
    must(
        "RESOURCE-BINARY",
        "Binary contents are Base64.",
        both(
            "server/resources#security-considerations", "server/prompts#image-content", "server/prompts#audio-content"
        ),
        "scenarios/resources: big_binary_contents_pass_untouched_shared_uri_or_not",
        "scenarios/big_resources: fifty_megabytes_of_text_and_of_bytes_pass_unharmed",
        "core/translate/ranges: the_parts_of_a_blob_are_the_blob",
    ),
    must(
        "RESOURCE-EMBEDDED",
        "An embedded resource has its address, kind and contents.",
        both("server/prompts#embedded-resources"),
        "core/translate/links: links_and_embedded_resources_of_a_tool_get_public_uris_and_keep_all_else",
        "conformance/suite: every_check_of_every_scenario_ends_through_the_gateway_as_it_does_directly",
    ),
    must(
        "PROMPT-INPUTS",
        "What goes into prompts and comes out of them is checked.",
        both("server/prompts#security"),
        "listeners/calls: wrong_parameters_are_refused_in_words_that_name_the_member",
        why=PASSED_ON + " but for the form of the arguments",
    ),
    must(
        "COMPLETION-INPUTS",
        "Completion is checked, limited, and gives nothing away.",
        both("server/utilities/completion#security"),
        "listeners/calls: wrong_parameters_are_refused_in_words_that_name_the_member",
        "core/plan: a_completion_goes_to_the_owner_of_the_prompt_or_template_it_refers_to",
    ),
    must(
        "LOG-WANTED",
        "A modern request gets log messages only at the level it asks for, and only on its own stream.",
        new("server/utilities/logging#per-request-log-level"),
        "listeners/http_modern: log_lines_need_the_requests_own_level",
        "listeners/mcp_server: log_lines_pass_as_the_era_and_the_level_say",
        "scenarios/outside_of_calls: log_messages_reach_every_legacy_client_at_its_level_and_no_modern_one",
        "scenarios/notifications: a_call_hears_the_log_messages_of_the_level_its_client_wants",
    ),
    must(
        "LOG-SECRETS",
        "Log messages hold no secrets and nothing that helps an attacker.",
        both("server/utilities/logging#security"),
        "backends/http_answers: our_secrets_are_taken_out_of_what_a_server_says no_refusal_shows_a_secret",
        why="the gateway sends none of its own; those of servers pass on untouched",
    ),
    must(
        "CACHE-HINTS",
        "Lists, reads and discovery say how long and for whom they may be kept, never with a negative time.",
        new("server/utilities/caching#cacheable-results", "server/utilities/caching#time-to-live-ttl-field"),
        "core/listing: a_modern_page_says_its_type_and_how_long_it_may_be_kept",
        "core/translate/outcomes: a_legacy_read_gets_the_cache_fields_that_modern_clients_require",
        "conformance/suite: every_check_of_every_scenario_ends_through_the_gateway_as_it_does_directly",
    ),
    must(
        "CACHE-PAGES",
        "All pages of a list have the same scope.",
        new("server/utilities/caching#interaction-with-pagination"),
        "core/listing: all_pages_of_a_list_may_be_kept_alike",
    ),
    must(
        "CACHE-SCOPE",
        "What is private is kept for one caller only, and access is checked whatever the scope says.",
        new("server/utilities/caching#cache-scope-field", "server/utilities/caching#security-considerations"),
        "core/listing: a_modern_page_says_its_type_and_how_long_it_may_be_kept",
        "core/plan: a_profile_hides_from_calls_what_it_hides_from_lists",
    ),
    must(
        "CACHE-USE",
        "Nothing is answered from a cache but the same request, and never a retry with answers; nobody polls wildly.",
        new("server/utilities/caching#cache-key", "server/utilities/caching#freshness-calculation"),
        "runtime/supervisor: offers_are_fetched_again_when_the_backend_says_they_changed",
        "runtime/looking: a_change_during_a_fetch_means_one_more_fetch_and_no_third",
        why="the gateway keeps offers, which it is told to fetch anew, and no results of requests",
    ),
    must(
        "CURSORS-OPAQUE",
        "Cursors are opaque, pages of any size, and only a missing cursor is the end.",
        both("server/utilities/pagination#implementation-guidelines", "server/utilities/pagination#pagination-model"),
        "backends/mcp_offers: all_pages_of_all_kinds_are_taken_in_order an_empty_cursor_is_a_cursor_and_no_end",
        "core/listing: a_cursor_that_was_tampered_with_is_refused a_cursor_has_one_spelling "
        "a_cursor_is_the_same_after_a_restart_and_says_nothing",
    ),
)

TASKS = (
    must(
        "TASK-DECLARED",
        "Tasks are declared by request kind and begun only where they are; elsewhere the wish for one is ignored.",
        old(
            "basic/utilities/tasks#capabilities",
            "basic/utilities/tasks#task-support-and-handling",
        ),
        "core/faces: tasks_are_declared_in_the_words_of_the_clients_era_only legacy_clients_get_no_tasks_where_no_server_has_them",
        "core/eras: a_client_hosts_no_tasks_towards_servers",
    ),
    must(
        "TASK-TOOL-LEVEL",
        "A tool that may be, must be or cannot be a task is called accordingly.",
        old("basic/utilities/tasks#tool-level-negotiation"),
        "runtime/task_bridge: a_tool_that_must_be_a_legacy_task_is_a_call_for_a_modern_client_without_the_extension "
        "an_optional_legacy_task_is_not_begun_for_who_cannot_have_it",
        "core/translate/tasks: a_modern_tool_may_be_a_task_for_legacy_clients_unless_it_says_otherwise",
    ),
    must(
        "TASK-IDS",
        "Task ids are strings of the receiver, unique, and hard to guess where nobody signs in.",
        old("basic/utilities/tasks#task-id-requirements", "basic/utilities/tasks#task-isolation-and-access-control"),
        "runtime/tasks: a_legacy_task_passes_with_its_id_made_ours_everywhere a_modern_task_has_an_id_of_ours_and_goes_on_where_it_was_begun",
        "core/translate/tasks: ids_are_replaced_wherever_the_protocol_has_them_and_nowhere_else",
    ),
    must(
        "TASK-STATES",
        "A task begins as working, moves along the allowed ways, and stays as it ended.",
        old("basic/utilities/tasks#task-status-lifecycle"),
        "runtime/task_run: a_call_that_takes_long_becomes_a_task_whose_result_is_the_calls_own",
        "runtime/task_news: every_change_of_a_followed_task_is_heard_once_with_all_that_tasks_get_would_say",
    ),
    must(
        "TASK-INPUT",
        "Questions of a task name the task that they belong to.",
        old("basic/utilities/tasks#input-required-status", "basic/utilities/tasks#associating-task-related-messages"),
        "runtime/task_following: questions_name_the_task_as_the_client_knows_it_or_not_at_all",
        "runtime/task_bridge: a_legacy_tasks_question_is_answered_by_update",
    ),
    must(
        "TASK-TIMES",
        "A task says when it was made and changed, and how long it is kept.",
        old("basic/utilities/tasks#ttl-and-resource-management"),
        "core/translate/tasks: times_are_iso_8601",
        "runtime/task_run: a_task_is_forgotten_when_its_time_is_over",
    ),
    must(
        "TASK-RESULT",
        "Creation is answered at once; `tasks/result` waits for the end and gives exactly what the call would have.",
        old("basic/utilities/tasks#result-retrieval", "basic/utilities/tasks#task-execution-errors"),
        "runtime/task_bridge: a_modern_task_is_a_legacy_task_for_a_client_that_asked_for_one an_error_of_a_modern_task_is_the_error_of_tasks_result",
        "scenarios/tasks: a_legacy_client_has_tasks_of_servers_of_both_eras",
    ),
    must(
        "TASK-RELATED",
        "What belongs to a task says so in its `_meta`.",
        old("basic/utilities/tasks#related-task-metadata", "basic/utilities/tasks#associating-task-related-messages"),
        "core/translate/tasks: the_related_task_is_taken_off_and_put_on",
    ),
    must(
        "TASK-NEWS",
        "Nobody relies on being told how a task is.",
        old("basic/utilities/tasks#task-status-notification", "basic/utilities/tasks#task-notifications"),
        "runtime/task_following: an_outage_while_the_task_goes_on_is_survived",
        "runtime/task_news: what_a_modern_server_tells_by_itself_is_passed_on_without_waiting_for_the_next_look "
        "a_server_that_agreed_to_tell_is_no_longer_looked_at_as_often_as_it_allows",
        "backends/mcp_watch: a_request_for_tasks_declares_the_extension_and_no_other_does",
        "scenarios/tasks: a_modern_server_that_wants_to_be_looked_at_once_a_minute_is_heard_when_it_tells",
    ),
    must(
        "TASK-LIST",
        "`tasks/list` shows a requestor all of its tasks, page by page, with opaque cursors.",
        old("basic/utilities/tasks#task-listing"),
        "runtime/task_calls: a_server_that_is_silent_delays_the_list_of_tasks_only_so_long",
        "scenarios/tasks: a_legacy_client_has_tasks_of_servers_of_both_eras",
    ),
    must(
        "TASK-CANCEL",
        "Cancelling ends a task for good; one that has ended cannot be cancelled.",
        old("basic/utilities/tasks#task-cancellation"),
        "runtime/task_bridge: cancelling_reaches_the_legacy_task a_legacy_task_that_its_server_cancelled_is_cancelled "
        "a_modern_task_is_a_legacy_task_for_a_client_that_asked_for_one",
        "runtime/task_run: cancelling_the_task_cancels_the_run",
    ),
    must(
        "TASK-ERRORS",
        "Wrong requests about tasks get the standard errors.",
        old("basic/utilities/tasks#protocol-errors"),
        "runtime/task_calls: the_list_of_tasks_is_one_page_and_knows_no_cursor",
        "runtime/task_calls: what_the_client_may_not_do_at_all_is_said_before_what_is_wrong_with_the_request",
    ),
    must(
        "TASK-OWNER",
        "A task belongs to whoever began it; nobody else finds it.",
        old("basic/utilities/tasks#task-isolation-and-access-control"),
        "runtime/tasks: a_task_is_not_found_by_anybody_but_its_owner",
        "runtime/task_run: a_task_belongs_to_its_principal",
    ),
    must(
        "TASK-STREAMS",
        "Requests about tasks keep to the rules of the transport.",
        old(
            "basic/utilities/tasks#getting-tasks",
            "basic/utilities/tasks#retrieving-task-results",
            "basic/utilities/tasks#input-required-status",
        ),
        "scenarios/tasks: the_tasks_of_an_official_legacy_server_are_tasks_for_clients_of_both_eras",
        "conformance/tasks: every_check_ends_through_the_gateway_as_it_does_directly",
    ),
)

AUTHORIZATION = (
    must("AUTH-OLD", "Everything about OAuth.", old("basic/authorization"), why=SIGN_IN),
    must(
        "AUTH-NEW",
        "Everything about OAuth.",
        new(
            "basic/authorization/index",
            "basic/authorization/authorization-server-discovery",
            "basic/authorization/client-registration",
            "basic/authorization/security-considerations",
        ),
        why=SIGN_IN,
    ),
)

REQUIREMENTS = (
    *MESSAGES, *SCHEMAS, *STATELESS, *LIFECYCLE, *STDIO, *HTTP, *RESUMING, *UTILITIES, *INPUT, *ELICITATION,
    *SAMPLING_AND_ROOTS, *SERVERS, *TASKS, *AUTHORIZATION,
)  # fmt: skip

PAGES = {
    OLD: (
        "basic/authorization", "basic/index", "basic/lifecycle", "basic/transports", "basic/utilities/cancellation",
        "basic/utilities/ping", "basic/utilities/progress", "basic/utilities/tasks", "client/elicitation",
        "client/roots", "client/sampling", "server/prompts", "server/resources", "server/tools",
        "server/utilities/completion", "server/utilities/logging", "server/utilities/pagination",
    ),
    NEW: (
        "basic/authorization/authorization-server-discovery", "basic/authorization/client-registration",
        "basic/authorization/index", "basic/authorization/security-considerations", "basic/index",
        "basic/patterns/cancellation", "basic/patterns/index", "basic/patterns/mrtr", "basic/patterns/progress",
        "basic/patterns/subscriptions", "basic/transports/index", "basic/transports/stdio",
        "basic/transports/streamable-http", "basic/versioning", "client/elicitation", "client/roots",
        "client/sampling", "server/discover", "server/prompts", "server/resources", "server/tools",
        "server/utilities/caching", "server/utilities/completion", "server/utilities/logging",
        "server/utilities/pagination",
    ),
}  # fmt: skip
"""The pages of each revision on which there is a MUST."""
