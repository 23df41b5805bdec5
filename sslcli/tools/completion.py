"""`sslcli completion` prints a shell's completion script.

bash:  eval "$(sslcli completion bash)"          in ~/.bashrc
zsh:   eval "$(sslcli completion zsh)"           in ~/.zshrc, after compinit
fish:  sslcli completion fish | source           in ~/.config/fish/config.fish
"""

from __future__ import annotations

import argparse

from sslcli.console import Console
from sslcli.tools.arguments import parse

# Every script passes the line up to the cursor to `sslcli completion query` (cli/main.py), and
# offers the words that it prints.
BASH = """\
_sslcli() {
    local line="${COMP_LINE:0:COMP_POINT}"
    local word="${line##* }"
    local before="${word%"${COMP_WORDS[COMP_CWORD]}"}"
    local candidates
    candidates="$(sslcli completion query "$line" 2>/dev/null)"
    COMPREPLY=()
    local candidate
    while IFS= read -r candidate; do
        [[ -n "$candidate" && "$candidate" == "$word"* ]] && COMPREPLY+=("${candidate#"$before"}")
    done <<< "$candidates"
    [[ "${COMPREPLY[0]}" == *[=./] ]] && compopt -o nospace
}
complete -o default -F _sslcli sslcli
"""
ZSH = """\
_sslcli() {
    local -a candidates
    candidates=(${(f)"$(sslcli completion query "$LBUFFER" 2>/dev/null)"})
    (( ${#candidates} )) && compadd -S '' -a candidates || _files
}
compdef _sslcli sslcli
"""
FISH = """\
complete -c sslcli -a '(sslcli completion query (commandline -cp) 2>/dev/null)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def main(arguments: list[str], console: Console) -> int:
    parser = argparse.ArgumentParser(
        prog="sslcli completion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=list(SCRIPTS))
    console.say(SCRIPTS[parse(parser, arguments).shell].rstrip())
    return 0
