"""Every bound of a queue, frame, body, wait or cache, by name.

They guard our processes. Limits of the scheme (amounts, timers, quotas) are rules and stand in
the profile instead.
"""

BODY_BYTES_MAX = 64 * 1024
"""Longest HTTP body taken from a peer on any port."""
ANSWER_BYTES_MAX = 64 * 1024
"""Longest HTTP answer read from a peer."""
HEADER_S_MAX = 10.0
"""Seconds a client may take to send the whole head of a request."""
BODY_S_MAX = 10.0
"""Seconds a client may take to send the body after the head."""
KEEPALIVE_S = 75.0
"""Seconds an idle connection is kept open."""
CONNECTIONS_PER_PEER_MAX = 256
"""Pooled connections to one participant."""
CONNECT_S_MAX = 2.0
"""Seconds to establish a connection to a participant."""

GROUP_COMMANDS_MAX = 512
"""Commands in one group commit."""
GROUP_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of records and owed messages in one group commit."""
LEDGER_QUEUE_MAX = 8192
"""Commands waiting for the disk; beyond it new orders are refused before they are reserved."""
LEDGER_AMOUNT_MINOR_MAX = 10**15
"""Largest amount of one entry, in minor units."""
LEDGER_SUM_MINOR_MAX = 2**62
"""Largest sum the ledger keeps, in minor units: far enough inside the 64 bits of its columns."""
TRANSFERS_IN_FLIGHT_MAX = 4096
"""Orders and queries in flight; beyond it new ones are refused before they are reserved."""

RECENT_KEYS_MAX = 4096
"""Finished orders whose answers stay in memory; older ones are read from the disk."""
RECENT_BINDINGS_MAX = 8192
"""Verifications kept in memory; older ones are read from the disk."""

OUTBOX_CONCURRENCY_PER_PEER = 64
"""Owed messages on their way to one peer at the same time."""
OUTBOX_IN_MEMORY_PER_PEER = 10_000
"""Owed messages of one peer held in memory; the rest waits on the disk."""

WIRE_LOG_QUEUE_BYTES_MAX = 16 * 1024 * 1024
"""Wire log bytes waiting for their writer; more is dropped and counted."""
WIRE_LOG_SEGMENT_BYTES = 32 * 1024 * 1024
"""Size at which a segment of the wire log is closed."""
WIRE_LOG_BYTES_MAX = 1024 * 1024 * 1024
"""Size of the whole wire log; the oldest segments go first."""

SIGNING_QUEUE_MAX = 4096
"""Messages waiting to be signed."""
PAGE_ROWS_MAX = 500
"""Rows of one page of an operator's list."""
DIRECTORY_PHONES_MAX = 100
"""Phones of one contact lookup."""
QR_CHARACTERS_MAX = 512
"""Longest QR string read."""
RESTART_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Waits before a dead child is started again; the last one repeats."""

CONNECTIONS_MAX = 4096
"""Connections open at one port of ours; beyond it new ones are closed at once."""
HEAD_LINE_BYTES_MAX = 8 * 1024
"""Longest request line, and longest header, taken from a peer."""
HEADERS_MAX = 64
"""Headers of one request."""
LINGER_S = 2.0
"""Seconds a refused body is still read, so that its sender sees the refusal."""
CHECKED_FILE_BYTES_MAX = 1024 * 1024 * 1024
"""Largest database that is read whole at a start, to find damage: some three seconds."""
LOG_FILE_BYTES_MAX = 32 * 1024 * 1024
"""Size at which a log file is put aside; one older file is kept."""
# Hardly any: a new parent may come at once and want the ports, and an end without notice is what
# everything here is built to survive.
LIFELINE_GRACE_S = 0.25
"""Seconds a process may take to stop after its parent is gone."""

NETWORK_SESSIONS_PER_COOP_MAX = 16
"""Open sessions of one coop with the access network; a further one ends the oldest."""
NETWORK_KEY_ID_CHARACTERS_MAX = 64
"""Longest key id that opens a session with the access network."""
NETWORK_REQUESTS_KEPT_MAX = 1024
"""Answers of the access network kept for each coop's repeats; the oldest go first."""
NETWORK_MISMATCHES_KEPT_MAX = 500
"""Mismatches of the access network that an operator can list."""
BULK_POLL_S = 2.0
"""Seconds between two looks into the folder of bulk files."""
BULK_BYTES_MAX = 8 * 1024 * 1024
"""Longest bulk file read."""
BULK_UNFINISHED_S = 60.0
"""Seconds that a bulk file may stand unchanged without its last line; then it is refused."""
BULK_AT_ONCE = 256
"""Records of a bulk file on their way to the disk at the same time."""

REPORT_PAGE_LINES = 2000
"""Lines of the ledger read at once for a file of a batch."""
STREAMS_MAX = 8
"""Files of batches, and what-if replays, under way at the same time; more are refused for now."""
WHAT_IF_NUMBERS_MAX = 8
"""Numbers of windows compared in one what-if."""

ISO_FRAME_BYTES_MAX = 4096
"""Longest ISO 8583 frame taken, TPDU included."""
ISO_LINKS_MAX = 1024
"""Open ISO 8583 links; beyond it the oldest that has not signed on makes room for a new one."""
ISO_LINKS_PER_PARTICIPANT_MAX = 64
"""Links that one participant may ask for in the fleet file."""
ISO_PENDING_PER_LINK_MAX = 512
"""Requests on one link that wait for an answer; beyond it the peer counts as unreachable."""
ISO_REQUESTS_PER_LINK_MAX = 512
"""Requests of one link under way in the switch; beyond it the link is not read for now."""
ISO_SEND_BYTES_MAX = 256 * 1024
"""Bytes that a link may leave unread before it is cut."""
ISO_SIGN_ON_S_MAX = 30.0
"""Seconds a new link may take to sign on."""
ISO_FRAME_S_MAX = 10.0
"""Seconds a frame may take to arrive once its first byte came."""
ISO_ANSWERED_KEPT_MAX = 2048
"""Answered or overdue requests of a participant that late and repeated answers are known by."""
ISO_FINDINGS_KEPT_MAX = 200
"""Unmatched and refused frames of the lane that an operator can list."""

LEDGER_RECENT_KEYS_MAX = 16_384
"""Keys of transfers just written that are kept in memory, to tell a new key without the disk."""
LEDGER_GAPS_MAX = 1024
"""Ranges of keys known to be empty on disk, for the same."""

AGENTS_MAX = 9999
"""Field agents of one institution: four digits of their ids."""
AGENT_DEVICES_MAX = 9
"""Terminals of one agent: one digit of their ids."""
AGENT_BATCH_MAX = 50
"""Operations, or verdicts, in one payload."""
AGENT_PAYLOAD_BYTES_MAX = 16 * 1024
"""Longest payload taken from a terminal, and sent to one."""
AGENT_HELD_MAX = 1024
"""Operations of one terminal held behind a gap; later ones are asked for again."""
AGENT_SEQUENCE_MAX = 10**11
"""Largest sequence number of a terminal."""
AGENT_RANGES_MAX = 64
"""Gaps told to a terminal at once."""
AGENTS_AT_ONCE_MAX = 64
"""Terminals whose operations are carried out at the same time."""
AGENT_INBOX_MAX = 4096
"""Payloads of terminals waiting in the switch; beyond it new ones are dropped and counted."""
AGENT_OUTBOX_MAX = 8192
"""Payloads to terminals waiting for the broker; beyond it new ones are dropped and counted."""
AGENT_OUTBOX_BUSY_MAX = 256
"""Payloads to terminals waiting for the broker; beyond it what is only told again waits."""
AGENT_FINDINGS_KEPT_MAX = 200
"""Findings about terminals that an operator can list."""
AGENT_QUEUE_MAX = 10_000
"""Operations in a terminal's queue; beyond it the terminal takes no more."""
AGENT_RETRY_S = (2.0, 4.0, 8.0, 15.0, 30.0)
"""Waits of a terminal before it says again what was not answered; the last one repeats."""
MQTT_CONNECTIONS_MAX = 8192
"""Connections open at the broker."""
MQTT_KEEPALIVE_S = 30
"""Seconds of silence after which a client of the broker says that it is there."""
MQTT_RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits before a client of ours connects to the broker again; the last one repeats."""
MQTT_QUEUED_PER_CLIENT_MAX = 1000
"""Messages that the broker keeps for a client that is away."""
MQTT_PUBLISHING_MAX = 64
"""Messages on their way to the broker without its acknowledgement."""
NOTICE_BATCH_MAX = 256
"""Transfers read at once for notices."""
NOTICE_POLL_S = 0.1
"""Seconds between two looks at what has been decided, while nothing is."""
NOTICE_PENDING_MAX = 100_000
"""Transfers without an outcome that the notifier remembers."""
MEMBERS_ENROLLED_MAX = 10_000
"""Members whose notices somebody may read."""
