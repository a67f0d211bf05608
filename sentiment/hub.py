"""Downloads from and uploads to the Hugging Face Hub; what goes wrong there is an error of one line."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx2
from huggingface_hub import HfApi, constants, errors, get_cached_repo_tree, get_token, utils

from sentiment.errors import InputError, one_line, without_home

LONGEST_WAIT = 60  # seconds that the Hub may ask to wait before the next try
UPLOAD_TIMEOUT = 120  # seconds: the Hub looks at what was uploaded before it answers


def snapshot(kind: Literal["dataset", "model"], repo: str, revision: str | None, files: list[str]) -> Path:
    """Find in the cache or download the files of a repository at one commit, and check their hashes.

    Files that came whole are kept whatever happens to the others. A commit that is cached takes no request, a branch
    or tag takes one; with HF_HUB_OFFLINE=1 there is none at all. Another revision is never taken instead.

    Args:
        kind: of the repository.
        repo: owner/name.
        revision: a commit, branch or tag; None is the main branch.
        files: patterns of the names of the files that are needed.

    Returns:
        The folder in the cache, named after the commit.

    Raises:
        InputError: it cannot be fetched, or a file is not the one that the repository has; that one is removed.
    """
    wanted = f"{kind} {repo}" + (f"@{revision}" if revision else "")
    # Of a model, what lies at the top: folders hold checkpoints and exports.
    patterns: dict[str, Any] = {
        "allow_patterns": files,
        "ignore_patterns": ["*/*"] if kind == "model" else None,
    }
    api = _set_up()
    offline = constants.is_offline_mode()
    try:
        commit = api.resolve_revision(repo, repo_type=kind, revision=revision, local_files_only=offline)
        folder = Path(api.snapshot_download(repo, repo_type=kind, revision=commit, **patterns))
        try:
            if not offline:
                get_cached_repo_tree(repo, repo_type=kind, revision=commit)
        except errors.CachedRepoTreeNotFoundError:
            # Either the cache is read-only, or the Hub did not list the files and this is the part that was cached.
            tree = [
                entry.path
                for entry in api.list_repo_tree(repo, repo_type=kind, revision=commit, recursive=True)
            ]
            if not all((folder / name).exists() for name in utils.filter_repo_objects(tree, **patterns)):
                raise _Unavailable("the Hub did not list the files") from None
        damaged = _remove_damaged(folder, patterns)
    except Exception as error:  # some twenty types, of three libraries; each means that it was not fetched
        raise InputError(f"{wanted} could not be fetched from the Hub: {_explain(error)}") from error
    if damaged:
        raise InputError(
            f"{wanted}: {', '.join(damaged)} came or became damaged (the hash is wrong) and was removed from the cache; "
            f"run it again{' without HF_HUB_OFFLINE' if offline else ''} to fetch it anew"
        )
    return folder


def file_names(kind: Literal["dataset", "model"], repo: str, revision: str | None) -> list[str]:
    """The files of a repository of which `snapshot` has fetched some, without a request; none if they are not cached."""
    try:
        return [file.path for file in get_cached_repo_tree(repo, repo_type=kind, revision=revision)]
    except errors.CachedRepoTreeNotFoundError:
        return []


def upload(
    folder: Path, repo: str, message: str, stale: list[str], private: bool = False, tag: str | None = None
) -> tuple[str, bool]:
    """Upload all files of a folder to a model repository, which is created if need be, in one commit or none.

    Args:
        folder: its files are uploaded.
        repo: owner/name.
        message: of the commit.
        stale: patterns of files in the repository that are removed if the folder does not have them.
        private: create it private; one that others can read is refused.
        tag: a new tag of the commit.

    Returns:
        The address of the commit that holds the files, and whether it is a new one.

    Raises:
        InputError: the repository does not have them, or not under this tag.
    """
    api = _set_up()
    constants.HF_HUB_DISABLE_XET = True  # hf_xet has a client of its own, without the limits below
    try:
        if not get_token():
            raise InputError("the Hub takes nothing without a token: `hf auth login`, or set HF_TOKEN")
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise InputError(
                f"{repo} is there and not private; change that in its settings, or leave out --private"
            )
        refs = api.list_repo_refs(repo)
        if tag and tag in {ref.name for ref in refs.tags}:
            raise InputError(f"{repo} has a tag {tag} already, and a version never changes; choose another")
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=message, delete_patterns=stale
        )
        if tag:
            api.create_tag(repo, tag=tag, revision=commit.oid, exist_ok=True)
    except InputError:
        raise
    except Exception as error:  # as above
        raise InputError(f"{repo} could not be published: {_explain(error)}") from error
    return _redact(commit.commit_url), commit.oid not in (ref.target_commit for ref in refs.branches)


def in_one_line(error: BaseException | str) -> str:
    """A message, or the type and message of an error, on one line, without the token and the home folder."""
    return one_line(_redact(error if isinstance(error, str) else f"{type(error).__name__}: {error}"))


def _set_up() -> HfApi:
    hooks = (
        utils.get_session().event_hooks
    )  # huggingface_hub's own: they set headers and refuse requests when offline
    utils.set_client_factory(lambda: _Client(event_hooks=hooks, follow_redirects=True))
    constants.HF_HUB_DISABLE_TELEMETRY = True  # it takes a request of its own, before all others
    utils.logging.set_verbosity_error()  # not a line for each retry
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    return HfApi()


class _Client(httpx2.Client):
    """HTTP client for huggingface_hub, which tries some requests six times, others once, and some without a timeout.

    Here all but a commit are tried again, none waits for ever, and a download that was cut is resumed.
    """

    def get(self, url: Any, **options: Any) -> httpx2.Response:
        try:
            return utils.http_backoff("GET", url, **options)
        except (httpx2.TransportError, errors.HfHubHTTPError) as error:
            # On these, huggingface_hub would take for a branch the commit that it was at the last time.
            raise _Unavailable from error

    def post(self, url: Any, **options: Any) -> httpx2.Response:
        if "/commit/" in str(url):  # where the answer is lost, it may have been made, and would be made twice
            return super().post(url, **options)
        return utils.http_backoff("POST", url, **options)

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        seconds = UPLOAD_TIMEOUT if request.method in ("POST", "PUT") else constants.HF_HUB_DOWNLOAD_TIMEOUT
        request.extensions["timeout"] = httpx2.Timeout(seconds).as_dict()
        response = super().send(request, **options)
        broken = response.status_code >= 500
        if (broken or response.status_code in (408, 429)) and (wait := _asked_wait(response)) > LONGEST_WAIT:
            response.close()
            raise _Unavailable(
                f"{request.url.host} answers HTTP {response.status_code} and asks to wait {wait} s"
            )
        if options.get("stream"):  # the content of a file, tried again on the errors of one connection only
            if broken:
                response.close()
                raise httpx2.RemoteProtocolError(f"HTTP {response.status_code}", request=request)
            response.stream = _Body(response.stream)
        return response


class _Unavailable(Exception):
    """The Hub did not serve a request, and no library is to try it again or to take what is cached instead."""


class _Body(httpx2.SyncByteStream):
    """A response's body whose connection, if it is reset, counts as cut, after which huggingface_hub resumes."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.stream
        except httpx2.ReadError as error:
            raise httpx2.RemoteProtocolError(str(error)) from error

    def close(self) -> None:
        self.stream.close()


def _asked_wait(response: httpx2.Response) -> int:
    """Seconds that the Hub asks to wait; 0 if it does not."""
    limit = utils.parse_ratelimit_headers(response.headers)
    if limit and limit.remaining == 0:
        return limit.reset_in_seconds
    seconds = response.headers.get("Retry-After", "")
    return int(seconds) if seconds.isdecimal() else 0


def _remove_damaged(folder: Path, patterns: dict[str, Any]) -> list[str]:
    """Remove each file whose content is not the one that the cache names it after; return their names.

    The name is the Hub's ETag: SHA-256 for a file in LFS, Git's own SHA-1 for others. (Where the file system has no
    links, the cache has no such names, and what came is taken as it is.)
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink())
    damaged = []
    for name in utils.filter_repo_objects(names, **patterns):
        link = folder / name
        blob = link.parent / link.readlink()
        if not blob.exists() or _hash(blob, len(blob.name)) != blob.name:
            damaged.append(name)
            for path in (blob.resolve(), blob, link):  # the blob may be a link itself, into a store for all
                path.unlink(missing_ok=True)
    return damaged


def _hash(blob: Path, length: int) -> str:
    """SHA-256 of a file if that is of this length, else what Git names its content."""
    with blob.open("rb") as content:
        if length == 64:
            return hashlib.file_digest(content, "sha256").hexdigest()
        data = content.read()
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def _explain(error: BaseException) -> str:
    """An error as plain words: what happened, and what to do."""
    later = "check the network and HF_ENDPOINT, then run it again: files that were transferred are kept"
    match error:
        case errors.OfflineModeIsEnabled():
            text = "HF_HUB_OFFLINE is set; run it without"
        case errors.LocalEntryNotFoundError() | errors.RevisionResolutionError() if (
            constants.is_offline_mode()
        ):
            text = "not all of it is in the cache, and HF_HUB_OFFLINE is set; run it once without"
        case errors.LocalEntryNotFoundError() | RuntimeError() | _Unavailable() if error.__cause__:
            return _explain(error.__cause__)
        case errors.RevisionNotFoundError():
            text = "there is no such revision (any more); check the name after @, or revision in dataset.yaml"
        case errors.GatedRepoError():
            text = "its authors grant access to it; ask on its page, then `hf auth login` or set HF_TOKEN"
        case errors.RepositoryNotFoundError():
            text = "there is no such repository, or it is private; check the name, or `hf auth login` or set HF_TOKEN"
        case errors.HfHubHTTPError(response=httpx2.Response(status_code=401)):
            text = "HTTP 401: the Hub does not take the token; `hf auth login` anew, or set HF_TOKEN"
        case errors.HfHubHTTPError(response=httpx2.Response(status_code=403)):
            text = "HTTP 403: the token does not allow it; use one that may write there, or another owner"
        case errors.HfHubHTTPError(response=response) if (
            response.status_code in (408, 429) or response.is_server_error
        ):
            text = f"the request to {response.url.host} failed: HTTP {response.status_code}; {later}"
        case errors.HfHubHTTPError(response=response, server_message=message):
            message = f" ({in_one_line(message)})" if message else ""
            text = f"HTTP {response.status_code}{message}; check the name, HF_TOKEN and HF_ENDPOINT"
        case httpx2.TransportError():
            text = f"the request to {error.request.url.host} failed: {in_one_line(str(error))}; {later}"
        case _Unavailable():
            text = f"{error}; {later}"
        case OSError(strerror=str(cause), filename=file):
            text = f"{file or 'input/output'}: {cause}"
        case _:
            text = f"{in_one_line(error)}; {later}"
    return _redact(text)


def _redact(text: str) -> str:
    token = get_token()
    return without_home(text.replace(token, "<token>") if token else text)
