"""The Hugging Face Hub: files of a repository at one commit, down or up, or one line that says why not."""

import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx2
from huggingface_hub import HfApi, constants, errors, get_token, set_client_factory, snapshot_download
from huggingface_hub.utils import disable_progress_bars, filter_repo_objects, logging, parse_ratelimit_headers
from huggingface_hub.utils._http import hf_request_event_hook
from huggingface_hub.utils.sha import git_hash

from stages.errors import InputError

WAITS: Sequence[float] = (1, 2, 4, 8)  # seconds before the second to the fifth try of a request
LONGEST_WAIT = 60  # seconds that the Hub may ask to wait
UPLOAD_TIMEOUT = 120  # seconds: the Hub looks at what came up before it answers


def snapshot(kind: Literal["dataset", "model"], repo: str, revision: str | None, files: list[str]) -> Path:
    """Find in the cache or download the files of a repository that match the patterns `files`, and check their hashes.

    A file that came whole is kept whatever happens to the others. A commit that is cached takes no request, a branch
    or tag takes one; with HF_HUB_OFFLINE=1 there is none at all, and nothing else ever stands in for what was wanted.

    Returns:
        The folder in the cache, named after the commit.

    Raises:
        InputError: it is not to be had, or a file is not the one that the repository has; that one is removed.
    """
    wanted = f"{kind} {repo}" + (f"@{revision}" if revision else "")
    _set_up()
    offline = constants.is_offline_mode()
    try:
        # Resolved here, since snapshot_download takes what is cached where the Hub refuses to answer.
        commit = HfApi().resolve_revision(repo, repo_type=kind, revision=revision, local_files_only=offline)
        folder = Path(snapshot_download(repo, repo_type=kind, revision=commit, allow_patterns=files))
        damaged = _remove_damaged(folder, files)
    except Exception as error:  # some twenty kinds, of three libraries; each means that it did not come
        raise InputError(_redacted(f"{wanted} could not be fetched from the Hub: {_explained(error)}")) from error
    if damaged:
        raise InputError(
            f"{wanted}: {', '.join(damaged)} came or became damaged (the hash is wrong) and was removed from the cache; "
            f"run it again{' without HF_HUB_OFFLINE' if offline else ''} to fetch it anew"
        )
    return folder


def upload(
    folder: Path, repo: str, message: str, stale: list[str], private: bool = False, tag: str | None = None
) -> tuple[str, bool]:
    """Make a model repository, which is created if need be, hold the files of a folder, in one commit or none at all.

    Args:
        folder: what goes up, all of it.
        repo: owner/name.
        message: of the commit.
        stale: patterns of files in the repository that are removed if the folder does not have them.
        private: create it private; one that others can read is refused.
        tag: a new tag of the commit.

    Returns:
        The address of the commit that holds them, and whether it is a new one.

    Raises:
        InputError: the repository does not have them, or not under this tag.
    """
    _set_up()
    constants.HF_HUB_DISABLE_XET = True  # hf_xet has a client of its own, of which nothing below can be said
    api = HfApi()
    try:
        if not get_token():
            raise InputError("the Hub takes nothing without a token: `hf auth login`, or set HF_TOKEN")
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise InputError(f"{repo} is there and not private; change that in its settings, or leave out --private")
        refs = api.list_repo_refs(repo)
        if tag and tag in {ref.name for ref in refs.tags}:
            raise InputError(f"{repo} has a tag {tag} already, and a version never changes; choose another")
        commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message, delete_patterns=stale)
        if tag:
            api.create_tag(repo, tag=tag, revision=commit.oid, exist_ok=True)
    except InputError:
        raise
    except Exception as error:  # as above
        raise InputError(_redacted(f"{repo} could not be published: {_explained(error, 'went up')}")) from error
    return _redacted(commit.commit_url), commit.oid not in (ref.target_commit for ref in refs.branches)


def in_one_line(error: BaseException | str) -> str:
    """The kind of an error and the beginning of its message, without the token and the home folder."""
    kind = "" if isinstance(error, str) else f"{type(error).__name__}: "
    return _redacted(f"{kind}{' '.join(str(error).split())}")[:300]


def _set_up() -> None:
    set_client_factory(_Client)
    constants.HF_HUB_DISABLE_TELEMETRY = True  # it takes a request of its own, before all others
    logging.set_verbosity_error()  # not a line for each retry
    if not sys.stderr.isatty():
        disable_progress_bars()


class _Client(httpx2.Client):
    """Gives every request a timeout, and five tries where the Hub is out of reach, too busy or broken.

    huggingface_hub retries some requests and not others, waits for some without end, and as long as the Hub asks.
    """

    def __init__(self) -> None:
        super().__init__(event_hooks={"request": [hf_request_event_hook]}, follow_redirects=True, timeout=None)

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        if not any(request.extensions["timeout"].values()):
            up = request.method in ("POST", "PUT")
            seconds = UPLOAD_TIMEOUT if up else constants.HF_HUB_DOWNLOAD_TIMEOUT
            request.extensions["timeout"] = httpx2.Timeout(seconds).as_dict()
        if request.method == "PUT":  # a file, which huggingface_hub itself winds back and tries again
            return super().send(request, **options)
        # A commit whose answer is lost may have been made, and would be made again.
        waits = () if "/commit/" in request.url.path else WAITS
        happened, asked = "", None
        for wait in (*waits, None):
            try:
                response = super().send(request, **options)
            except httpx2.TimeoutException:
                happened, asked = f"{request.url.host} did not answer in time", None
            except (httpx2.NetworkError, httpx2.ProxyError, httpx2.RemoteProtocolError) as error:
                happened, asked = f"{request.url.host} is out of reach ({error})", None
            else:
                if response.status_code not in (408, 429) and response.status_code < 500:
                    response.stream = _Body(response.stream)
                    return response
                response.close()
                happened, asked = f"{request.url.host} answers HTTP {response.status_code}", _asked_wait(response)
            if asked and asked > LONGEST_WAIT:
                raise _Unavailable(f"{happened} and asks to wait {asked} s")
            if wait is not None:
                time.sleep(wait if asked is None else asked)
        raise _Unavailable(happened + (f", {len(waits) + 1} times" if waits else ""))


class _Unavailable(Exception):
    """The Hub did not serve a request for good; no library retries on this."""


class _Body(httpx2.SyncByteStream):
    """A body whose connection, if it is reset, counts as cut, after which huggingface_hub goes on from what it has."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.stream
        except httpx2.ReadError as error:
            raise httpx2.RemoteProtocolError(str(error) or "connection reset") from error

    def close(self) -> None:
        self.stream.close()


def _asked_wait(response: httpx2.Response) -> int | None:
    """Seconds that the Hub asks to wait, if it does."""
    limit = parse_ratelimit_headers(response.headers)
    if limit and limit.remaining == 0:
        return limit.reset_in_seconds
    asked = response.headers.get("Retry-After", "")
    return int(asked) if asked.isdecimal() else None


def _remove_damaged(folder: Path, files: list[str]) -> list[str]:
    """Remove each file whose content is not the one that the cache names it after; return their names.

    The name is the Hub's ETag: SHA-256 for a file in LFS, Git's own SHA-1 for others. (Where the file system has no
    links, the cache has no such names, and what came is taken as it is.)
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink())
    damaged = [name for name in filter_repo_objects(names, allow_patterns=files) if not _whole(_blob(folder / name))]
    for name in damaged:
        blob = _blob(folder / name)
        for path in (blob.resolve(), blob, folder / name):  # the blob may be a link itself, into a store for all
            path.unlink(missing_ok=True)
    return damaged


def _blob(link: Path) -> Path:
    return link.parent / link.readlink()


def _whole(blob: Path) -> bool:
    if not blob.exists():
        return False
    with blob.open("rb") as content:
        if len(blob.name) == 64:
            return hashlib.file_digest(content, "sha256").hexdigest() == blob.name
        return git_hash(content.read()) == blob.name


def _explained(error: BaseException, went: str = "came") -> str:
    """What happened and what to do, in plain words."""
    again = f"run it again: files that {went} whole are kept"
    match error:
        case _Unavailable():
            return f"{error}; check the network and HF_ENDPOINT, then {again}"
        case httpx2.TimeoutException():
            return f"the answer stopped in the middle of a file, again and again; {again}"
        case httpx2.TransportError():
            return f"the connection was cut in the middle of a file, again and again; {again}"
        case errors.RevisionNotFoundError():
            return "there is no such revision (any more); check the name after @, or revision in dataset.yaml"
        case errors.GatedRepoError():
            return "its authors grant access to it; ask on its page, then `hf auth login` or set HF_TOKEN"
        case errors.RepositoryNotFoundError():
            return "there is no such repository, or it is private; check the name, or `hf auth login` or set HF_TOKEN"
        case errors.LocalEntryNotFoundError() | errors.RevisionResolutionError() if constants.is_offline_mode():
            return "not all of it is in the cache, and HF_HUB_OFFLINE is set; run it once without"
        case errors.LocalEntryNotFoundError(__cause__=Exception() as cause):
            return _explained(cause, went)
        case RuntimeError(__cause__=Exception() as cause):  # of a file on its way up
            return _explained(cause, went)
        case errors.OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set; run it without"
        case errors.HfHubHTTPError(response=httpx2.Response(status_code=401)):
            return "HTTP 401: the Hub does not take the token; `hf auth login` anew, or set HF_TOKEN"
        case errors.HfHubHTTPError(response=httpx2.Response(status_code=403)):
            return "HTTP 403: the token does not allow it; use one that may write there, or another owner"
        case errors.HfHubHTTPError(response=httpx2.Response(status_code=status)) if status >= 500:
            return f"HTTP {status}, again and again; {again}"
        case errors.HfHubHTTPError(response=httpx2.Response(status_code=status), server_message=said):
            said = f" ({in_one_line(said)})" if said else ""
            return f"HTTP {status}{said}; check the name, HF_TOKEN and HF_ENDPOINT"
        case OSError(strerror=str(reason), filename=file):
            return f"{file or 'input/output'}: {reason}"
    return f"{in_one_line(error)}; check the name, the network and HF_ENDPOINT, then {again}"


def _redacted(text: str) -> str:
    home = str(Path.home())
    for private, shown in ((get_token(), "<token>"), (home if len(home) > 1 else None, "~")):
        text = text.replace(private, shown) if private else text
    return text
