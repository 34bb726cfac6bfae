"""Mail servers that misbehave, as Django's backends."""

import os
import signal
import smtplib
import threading

from django.core.mail.backends.filebased import EmailBackend as FileBackend
from django.core.mail.backends.locmem import EmailBackend as MemoryBackend
from django.db import connection


class Down(MemoryBackend):
    """Refuses every message to an address that begins with "down"; the others arrive."""

    def send_messages(self, messages):
        if any(address.startswith("down") for message in messages for address in message.to):
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        return super().send_messages(messages)


class Slow(MemoryBackend):
    """Says when it has begun, and goes on when it is let."""

    begun, go_on = threading.Event(), threading.Event()
    in_transaction = None

    def send_messages(self, messages):
        Slow.in_transaction = connection.in_atomic_block
        self.begun.set()
        assert self.go_on.wait(30)
        return super().send_messages(messages)


class Fatal(FileBackend):
    """Delivers, and kills the process that sent."""

    def send_messages(self, messages):
        super().send_messages(messages)
        os.kill(os.getpid(), signal.SIGKILL)
