"""Errors in one line: lack of memory is recognised in the messages of every library."""

import pytest

from sentiment.errors import InputError, extra, loading, memory_ran_out, reason


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. "
            "DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        RuntimeError(
            "unable to mmap 90867952 bytes from file <model.safetensors>: Cannot allocate memory (12)"
        ),
        RuntimeError("could not create a primitive"),  # oneDNN, which multiplies in bf16 on CPUs
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        Exception("out of memory"),  # tokenizers
    ],
)
def test_lack_of_memory_is_recognised_in_the_messages_of_every_library(error: Exception) -> None:
    assert memory_ran_out(error)
    with pytest.raises(type(error)), extra("onnx"), loading("a model"):  # not reported as unreadable files
        raise error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("could not create a primitive descriptor for the matmul primitive"),  # no kernel
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_other_errors_are_not_mistaken_for_lack_of_memory(error: Exception) -> None:
    assert not memory_ran_out(error)
    with pytest.raises(InputError, match="^a model: cannot be loaded: "), loading("a model"):
        raise error


@pytest.mark.parametrize(
    "message",
    [
        "/data/my project/.git/: repository path '/data/my project' is not owned by current user",  # libgit2
        "fatal: detected dubious ownership in repository at '/data/my project'\nTo add an exception",  # Git
    ],
)
def test_a_repository_of_another_user_is_reported_with_the_remedy(message: str) -> None:
    assert reason(RuntimeError(message)).endswith(
        "`git config --global --add safe.directory '/data/my project'`"
    )
