"""Downloads from and uploads to the Hugging Face Hub; every failure becomes an error of one line."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx2
from huggingface_hub import HfApi, constants, errors, get_cached_repo_tree, get_token, utils

from sentiment.errors import InputError, one_line, without_home

MAX_WAIT = 60  # seconds that the Hub may ask to wait before the next attempt
UPLOAD_TIMEOUT = 120  # seconds; the Hub checks the uploaded files before it answers


def snapshot(kind: Literal["dataset", "model"], repo: str, revision: str | None, files: list[str]) -> Path:
    """Download the files of a repository at one commit, unless they are cached, and check their hashes.

    Files that were downloaded completely are kept, even if others fail. A cached commit needs no request, and
    a branch or tag needs one; with HF_HUB_OFFLINE=1, no request is sent. Another revision is never used
    instead.

    Args:
        kind: type of the repository.
        repo: owner/name.
        revision: a commit, branch or tag; None is the main branch.
        files: patterns for the names of the files that are needed.

    Returns:
        The folder in the cache, named after the commit.

    Raises:
        InputError: a file cannot be downloaded, or its hash is wrong; in the second case, it is removed.
    """
    requested = f"{kind} {repo}" + (f"@{revision}" if revision else "")
    # Only the top folder of a model: the others hold checkpoints and exports.
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
            # The cache is read-only, or the Hub did not list the files and the folder has only some of them.
            entries = api.list_repo_tree(repo, repo_type=kind, revision=commit, recursive=True)
            names = utils.filter_repo_objects([entry.path for entry in entries], **patterns)
            if not all((folder / name).exists() for name in names):
                raise _Unavailable("the Hub did not list the files") from None
        damaged = _remove_damaged(folder, patterns)
    except Exception as error:  # some twenty types, of three libraries; each means that the download failed
        raise InputError(f"{requested} could not be fetched from the Hub: {_explain(error)}") from error
    if damaged:
        again = "run it again without HF_HUB_OFFLINE" if offline else "run it again"
        raise InputError(
            f"{requested}: {', '.join(damaged)} had a wrong hash and was removed from the cache; "
            f"{again} to download it"
        )
    return folder


def file_names(kind: Literal["dataset", "model"], repo: str, revision: str | None) -> list[str]:
    """The names of all files of a repository that `snapshot` downloaded from, without a request.

    Empty if the list is not cached.

    Args:
        kind: type of the repository.
        repo: owner/name.
        revision: the commit.
    """
    try:
        return [file.path for file in get_cached_repo_tree(repo, repo_type=kind, revision=revision)]
    except errors.CachedRepoTreeNotFoundError:
        return []


def upload(
    folder: Path, repo: str, message: str, stale: list[str], private: bool = False, tag: str | None = None
) -> tuple[str, bool]:
    """Upload all files of a folder to a model repository in one commit; a missing repository is created.

    Args:
        folder: its files are uploaded.
        repo: owner/name.
        message: of the commit.
        stale: patterns of files to remove from the repository if the folder lacks them.
        private: create a private repository; an existing public one is refused.
        tag: a new tag for the commit.

    Returns:
        The address of the commit with these files, and whether it is new.

    Raises:
        InputError: the upload failed, the repository is public despite `private`, or it already has the tag.
    """
    api = _set_up()
    constants.HF_HUB_DISABLE_XET = True  # hf_xet has its own client, without the timeouts below
    try:
        if not get_token():
            raise InputError("uploading to the Hub needs a token: `hf auth login`, or set HF_TOKEN")
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise InputError(
                f"{repo} exists and is public; make it private in its settings, or leave out --private"
            )
        refs = api.list_repo_refs(repo)
        if tag and tag in {ref.name for ref in refs.tags}:
            raise InputError(f"{repo} already has a tag {tag}, and a version never changes; choose another")
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=message, delete_patterns=stale
        )
        if tag:
            api.create_tag(repo, tag=tag, revision=commit.oid, exist_ok=True)
    except InputError:
        raise
    except Exception as error:  # as in `snapshot`
        raise InputError(f"{repo} could not be published: {_explain(error)}") from error
    return _redact(commit.commit_url), commit.oid not in (ref.target_commit for ref in refs.branches)


def in_one_line(error: BaseException | str) -> str:
    """A message, or the type and message of an error, on one line; hides the token and the home folder."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return one_line(_redact(text))


def _set_up() -> HfApi:
    # huggingface_hub's own hooks set headers, and refuse requests when offline.
    hooks = utils.get_session().event_hooks
    utils.set_client_factory(lambda: _Client(event_hooks=hooks, follow_redirects=True))
    constants.HF_HUB_DISABLE_TELEMETRY = True  # it sends an additional request before all others
    utils.logging.set_verbosity_error()  # otherwise it logs a line per retry
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    return HfApi()


class _Client(httpx2.Client):
    """HTTP client for huggingface_hub with retries and timeouts.

    huggingface_hub retries only some requests, and sends some without a timeout. This client retries all
    requests except commits, gives each a timeout, and lets interrupted downloads resume.
    """

    def get(self, url: Any, **options: Any) -> httpx2.Response:
        try:
            return utils.http_backoff("GET", url, **options)
        except (httpx2.TransportError, errors.HfHubHTTPError) as error:
            # On these errors, huggingface_hub would silently use the commit that it last saw of a branch.
            raise _Unavailable from error

    def post(self, url: Any, **options: Any) -> httpx2.Response:
        if "/commit/" in str(url):  # if only the answer was lost, a retry would commit twice
            return super().post(url, **options)
        return utils.http_backoff("POST", url, **options)

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        if request.method in ("POST", "PUT"):
            timeout = UPLOAD_TIMEOUT
        request.extensions["timeout"] = httpx2.Timeout(timeout).as_dict()
        response = super().send(request, **options)
        status = response.status_code
        if status >= 500 or status in (408, 429):
            wait = _requested_wait(response)
            if wait > MAX_WAIT:
                response.close()
                raise _Unavailable(f"{request.url.host} answers HTTP {status} and asks to wait {wait} s")
        if options.get("stream"):  # a file's content, which huggingface_hub retries only on connection errors
            if status >= 500:
                response.close()
                raise httpx2.RemoteProtocolError(f"HTTP {status}", request=request)
            response.stream = _Body(response.stream)
        return response


class _Unavailable(Exception):
    """The Hub did not serve a request. Libraries must neither retry it nor use the cache instead."""


class _Body(httpx2.SyncByteStream):
    """A response body that raises on a reset connection the error after which huggingface_hub resumes."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self.stream
        except httpx2.ReadError as error:
            raise httpx2.RemoteProtocolError(str(error)) from error

    def close(self) -> None:
        self.stream.close()


def _requested_wait(response: httpx2.Response) -> int:
    """Seconds that the Hub asks to wait before a retry, or 0."""
    limit = utils.parse_ratelimit_headers(response.headers)
    if limit and limit.remaining == 0:
        return limit.reset_in_seconds
    seconds = response.headers.get("Retry-After", "")
    return int(seconds) if seconds.isdecimal() else 0


def _remove_damaged(folder: Path, patterns: dict[str, Any]) -> list[str]:
    """Remove each file whose content does not match its name in the cache; return their names.

    The cache names a file after the Hub's ETag: SHA-256 for a file in LFS, Git's SHA-1 for any other. Without
    symbolic links, as on some file systems, the cache has no such names, and files are not checked.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink())
    damaged = []
    for name in utils.filter_repo_objects(names, **patterns):
        link = folder / name
        blob = link.parent / link.readlink()
        if not blob.exists() or _hash(blob, len(blob.name)) != blob.name:
            damaged.append(name)
            for path in (blob.resolve(), blob, link):  # the blob can itself be a link into a shared store
                path.unlink(missing_ok=True)
    return damaged


def _hash(blob: Path, length: int) -> str:
    """The SHA-256 of a file if `length` is 64, else its Git blob hash."""
    with blob.open("rb") as content:
        if length == 64:
            return hashlib.file_digest(content, "sha256").hexdigest()
        data = content.read()
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def _explain(error: BaseException) -> str:
    """Describe an error in plain words: the cause, and how to fix it."""
    later = "check the network and HF_ENDPOINT, then run it again: transferred files are kept"
    match error:
        case errors.OfflineModeIsEnabled():
            text = "HF_HUB_OFFLINE is set; run it without"
        case errors.LocalEntryNotFoundError() | errors.RevisionResolutionError() if (
            constants.is_offline_mode()
        ):
            text = "some of its files are not cached, and HF_HUB_OFFLINE is set; run it once without"
        case errors.LocalEntryNotFoundError() | RuntimeError() | _Unavailable() if error.__cause__:
            return _explain(error.__cause__)
        case errors.RevisionNotFoundError():
            text = (
                "the revision does not exist (any more); check the name after @, or revision in dataset.yaml"
            )
        case errors.GatedRepoError():
            text = "it is gated; request access on its page, then `hf auth login` or set HF_TOKEN"
        case errors.RepositoryNotFoundError():
            text = (
                "the repository does not exist, or it is private; "
                "check the name, or `hf auth login` or set HF_TOKEN"
            )
        case errors.HfHubHTTPError(response=httpx2.Response(status_code=401)):
            text = "HTTP 401: the Hub does not accept the token; `hf auth login` again, or set HF_TOKEN"
        case errors.HfHubHTTPError(response=httpx2.Response(status_code=403)):
            text = "HTTP 403: the token does not permit this; use one with write access, or another owner"
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
