"""Errors that are told in one line: which are of memory, and that a library's words never hide that."""

import pytest

from sentiment.errors import InputError, extra, loading, memory_ran_out, reason


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
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
def test_too_little_memory_is_known_by_the_words_of_every_library(error: Exception) -> None:
    assert memory_ran_out(error)
    with pytest.raises(type(error)), extra("onnx"), loading("a model"):  # not that its files cannot be read
        raise error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "could not create a primitive descriptor for the matmul primitive"
        ),  # what it has no kernel for
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_other_faults_are_not_taken_for_too_little_memory(error: Exception) -> None:
    assert not memory_ran_out(error)
    with pytest.raises(InputError, match="^a model: cannot be loaded: "), loading("a model"):
        raise error


@pytest.mark.parametrize(
    "words",
    [
        "/data/my project/.git/: repository path '/data/my project' is not owned by current user",  # libgit2
        "fatal: detected dubious ownership in repository at '/data/my project'\nTo add an exception",  # Git
    ],
)
def test_a_repository_of_another_user_is_told_with_the_command_that_helps(words: str) -> None:
    assert reason(RuntimeError(words)).endswith(
        "`git config --global --add safe.directory '/data/my project'`"
    )
