"""Write what transformers makes of tokenizers' folders that were changed at random: numbers for ids, or an error.

    python tests/goldens/make/make_tokenizer_mutation_goldens.py tests/goldens/tokenizer_mutations.npz NUMBER [SEED ...]

Needs the goldens of tokenizers.  With seeds nothing is written, but what happens is told.  Each folder is read in a
process of its own, as some end it.
"""

import multiprocessing
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import tokenizer_kinds as kinds
import transformers
from tokenizer_mutations import LONG, POSITIONS, TEXTS, digest, mutation
from transformers import AutoTokenizer

warnings.simplefilter("ignore")
transformers.utils.logging.set_verbosity(100)
WIDTH = len(TEXTS) + 2  # the texts, a pair of the first two, the long one


def ids_of(folder):
    """The ids of the texts, of a pair and of the long text, cut as sentence-transformers does it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    limit = min(tokenizer.model_max_length, POSITIONS)
    found = [tokenizer(text)["input_ids"] for text in TEXTS]
    found.append(tokenizer(*TEXTS[:2])["input_ids"])
    return [*found, tokenizer([LONG], truncation="longest_first", max_length=limit)["input_ids"][0]]


def work(seeds, out, told=False):
    """Read some folders, and write down each as soon as it is done."""
    for seed in seeds:
        with tempfile.TemporaryDirectory() as place:
            kinds.write_files(mutation(seed)[1], Path(place))
            out.send((seed, None))
            try:
                found = ids_of(place)
                numbers = list(map(digest, found))
            except BaseException as error:  # of any kind, panics too: it is a library's answer
                found, numbers = f"{type(error).__name__}: {error}"[:500].replace(place, ""), [0] * WIDTH
            out.send((seed, found if told else numbers))


def results(seeds, told=False):
    """What comes of each seed; a process that ends before its time has ended at one of them."""
    left, found = list(seeds), {}
    while left:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=work, args=(left, theirs, told), daemon=True)
        process.start()
        theirs.close()
        at = left[0]
        try:
            while True:
                if not ours.poll(60):
                    break
                seed, numbers = ours.recv()
                at = seed
                if numbers is not None:
                    found[seed] = numbers
        except EOFError:
            pass
        process.kill()
        process.join()
        if at not in found:
            found[at] = "the process ended" if told else [0] * WIDTH
        left = [seed for seed in left if seed not in found]
    return found


def main():
    """Write the file, or tell of some seeds."""
    out, number, seeds = Path(sys.argv[1]), int(sys.argv[2]), list(map(int, sys.argv[3:]))
    if seeds:
        for seed, found in results(seeds, told=True).items():
            print(seed, *([found] if isinstance(found, str) else found), sep="\n    ")
        return
    found = results(range(number))
    numbers = np.array([found[seed] for seed in range(number)], dtype=np.uint16)
    print(f"{number} folders, {np.count_nonzero(numbers[:, 0])} of which the reference reads")
    np.savez_compressed(out, numbers=numbers)


if __name__ == "__main__":
    main()
