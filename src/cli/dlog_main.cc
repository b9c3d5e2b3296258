// The program `dlog`.
#include <csignal>
#include <string>
#include <vector>

#include "cli/run.h"

int main(int argc, char** argv) {
    // A reader that went away is an error of the write, not of the process.
    std::signal(SIGPIPE, SIG_IGN);
    const std::vector<std::string> words(argv + 1, argv + argc);
    return dlog::cli::run(words);
}
