"""The upload, by huggingface_hub. The token comes from HF_TOKEN or from `hf auth login`, never from an argument."""

from __future__ import annotations

from pathlib import Path

from retrieval_ko.errors import RetrievalError, UsageError


def check_repo(repo: str) -> None:
    """Make sure that a name is one of the hub's.

    Raises:
        UsageError: it is not OWNER/NAME as the hub allows it.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not in its __all__

    try:
        validate_repo_id(repo)
    except HFValidationError as failure:
        raise UsageError(f"--repo {repo}: {failure}", "For example: --repo our-team/korean-law-sparse") from failure
    if repo.count("/") != 1:
        raise UsageError(f"--repo {repo} does not say whose it is.", "OWNER/NAME, for example: --repo our-team/korean-law-sparse")


def check_can_upload() -> None:
    """Make sure, without asking the network, that an upload is not out of the question.

    Raises:
        UsageError: the hub is switched off by HF_HUB_OFFLINE, or nobody is logged in.
    """
    from huggingface_hub import get_token, is_offline_mode

    without = "Or write the folder without the network: --dry-run --out DIR"
    if is_offline_mode():
        raise UsageError("HF_HUB_OFFLINE is set, so nothing can be uploaded.", f"Unset it. {without}")
    if not get_token():
        raise UsageError("Nobody is logged in to the hub.", f"hf auth login, or set HF_TOKEN to a token that may write. {without}")


def upload(folder: Path, repo: str, *, private: bool) -> str:
    """Upload a folder in one commit, make the repository where there is none, and return the commit's address.

    Args:
        folder: of `write_published_folder`.
        repo: OWNER/NAME.
        private: whether a repository that is made now is seen by its owner alone; one that is there stays as it is.

    Raises:
        RetrievalError: the hub can't be reached or refuses; its own words.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]  # of the HTTP library that it uses

    api = HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        done = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Publish the model with its card")
    except HfHubHTTPError as failure:
        words = " ".join(str(failure).split())[:300]
        raise RetrievalError(f"The hub refused the upload to {repo}: {words}", "May the token write there? hf auth whoami") from failure
    except (HTTPError, OSError) as failure:
        raise RetrievalError(
            f"The hub at {api.endpoint} can't be reached: {' '.join(str(failure).split())[:200]}",
            "Look at the network and HTTPS_PROXY; or write the folder without it: --dry-run --out DIR",
        ) from failure
    return str(done.commit_url)
