"""Opens the journal of a configuration for the commands that read it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from mcp_orchestrator.cli.exits import Ended, Exit
from mcp_orchestrator.cli.loading import Configuration

if TYPE_CHECKING:
    from mcp_orchestrator.storage.reading import JournalReader


def opened_journal(configuration: Configuration) -> JournalReader:
    """The journal, beside a running gateway or without one; close it.

    Raises:
        Ended: exit code 4 when there is none yet or its database cannot be reached, 2 when it cannot be used.
    """
    from mcp_orchestrator.storage.choice import database_of  # noqa: PLC0415 - not needed for help
    from mcp_orchestrator.storage.reading import JournalReader  # noqa: PLC0415 - likewise
    from mcp_orchestrator.storage.trouble import StorageError, UnreachableError  # noqa: PLC0415 - likewise

    try:
        return JournalReader(database_of(configuration.snapshot.storage))
    except UnreachableError as error:
        raise Ended(Exit.UNREACHABLE, str(error)) from error
    except StorageError as error:
        if error.errno != errno.ENOENT:
            raise Ended(Exit.USAGE, str(error)) from error
        raise Ended(Exit.UNREACHABLE, str(error), fix="mcp-orchestrator serve writes the journal") from error
