"""Objects of S3 read by obstore, which takes a seventh of the processor time that the client of fsspec does.

It only ever helps. What it cannot do, or is not installed to do, the client of fsspec is asked for; that one says why
not. Names, listings, credentials and addresses of servers are that client's, so both speak to the same server as the
same user.
"""

from __future__ import annotations

import datetime
import os
import threading
from typing import Any

__all__ = ["Quick"]

_PATIENCE = 8  # failures in a row after which it is not asked any more
_TIMES = {"timeout": "300s", "connect_timeout": "10s"}


class Quick:
    """One bucket.

    Parameters
    ----------
    fs : s3fs.S3FileSystem
    bucket : str
    requests : int
        That will be under way at a time.
    """

    def __init__(self, fs: Any, bucket: str, requests: int) -> None:
        from obstore.store import S3Store

        meta = fs.s3.meta  # of the client, which has connected by now
        region = meta.region_name if meta.region_name not in (None, "aws-global") else "us-east-1"
        who: dict[str, Any] = {"skip_signature": True} if fs.anon else {"credential_provider": _Credentials()}
        # by path: a name with dots is no host that a certificate is of
        where = {"endpoint": meta.endpoint_url, "region": region, "virtual_hosted_style_request": False}
        client: Any = {**_TIMES, "allow_http": True, "pool_max_idle_per_host": str(requests)}
        self._store = S3Store(bucket, client_options=client, retry_config={"max_retries": 0}, **where, **who)
        self._process, self._failed, self._lock = os.getpid(), 0, threading.Lock()

    @classmethod
    def of(cls, fs: Any, bucket: str, requests: int) -> Quick | None:
        """Return it where it can be had."""
        known = {"anon", "use_listings_cache", "max_concurrency", "config_kwargs", "skip_instance_cache"}
        if set(fs.storage_options) - known:  # keys, sessions, … of the user's own
            return None
        try:
            return cls(fs, bucket, requests)
        except Exception:  # not installed; no credentials; options that it does not know
            return None

    def read(self, key: str, start: int | None, end: int | None, most: int) -> bytes | None:
        """Return an object, `most` + 1 bytes of one that has more, or bytes `start` to `end`; None: ask the other."""
        import obstore

        if self._failed >= _PATIENCE or os.getpid() != self._process or min(start or 0, end or 0) < 0:
            return None
        try:
            if end is None and not start:
                found = obstore.get(self._store, key)
                if found.meta["size"] <= most:
                    data = bytes(found.bytes())
                else:
                    data = bytes(obstore.get_range(self._store, key, start=0, end=most + 1))
            elif end is None:
                rest: Any = {"range": {"offset": start}}
                data = bytes(obstore.get(self._store, key, options=rest).bytes())
            else:
                data = bytes(obstore.get_range(self._store, key, start=start or 0, end=end))
        except Exception:  # whatever it is, the other client says it
            with self._lock:
                self._failed += 1
            return None
        self._failed = 0
        return data


class _Credentials:
    """What `aws configure`, the environment, a role or a machine's own server say, renewed when they end."""

    def __init__(self) -> None:
        import botocore.session

        found = botocore.session.Session().get_credentials()
        if found is None:
            raise LookupError
        self._found = found

    def __call__(self) -> dict[str, Any]:
        """Return them as obstore takes them."""
        now = self._found.get_frozen_credentials()
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=10)  # botocore renews earlier than that
        return {
            "access_key_id": now.access_key, "secret_access_key": now.secret_key, "token": now.token,
            "expires_at": soon if now.token else None,
        }  # fmt: skip
