//! What a shell reads to complete `jobwright`. Each script asks the program and takes its answer; what could stand where is not known here.

/// For bash 3.2 and later. The line goes over whole, as bash cuts words at `:` and `=` too.
pub(super) const BASH: &str = r#"_jobwright() {
    local IFS=$'\n' answer
    COMPREPLY=()
    while IFS= read -r answer; do
        COMPREPLY+=("$answer")
    done < <(command jobwright __complete bash "$COMP_LINE" "$COMP_POINT" "$COMP_WORDBREAKS" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
if [[ ${BASH_VERSINFO[0]} -gt 4 || ( ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4 ) ]]; then
    complete -o nosort -F _jobwright jobwright
else
    complete -F _jobwright jobwright
fi
"#;

/// For zsh: read by `source` after `compinit`, or put as `_jobwright` into a directory of `$fpath`.
pub(super) const ZSH: &str = r#"#compdef jobwright
_jobwright() {
    local -a answers values directories
    local answer
    answers=("${(@f)$(command jobwright __complete zsh "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for answer in $answers; do
        if [[ $answer == */ ]]; then
            directories+=("${answer%/}")
        else
            values+=("$answer")
        fi
    done
    (( $#directories )) && _describe -V 'jobwright' directories -S / -r /
    (( $#values )) && _describe -V 'jobwright' values
    (( $#directories + $#values ))
}
if [ "$funcstack[1]" = "_jobwright" ]; then
    _jobwright "$@"
else
    compdef _jobwright jobwright
fi
"#;

/// For fish 3.1 and later.
pub(super) const FISH: &str = r#"function __jobwright_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (string trim --left --chars "'\"" -- (commandline --current-token --cut-at-cursor))
    command jobwright __complete fish $words "$current" 2>/dev/null
end
complete --command jobwright --no-files --keep-order --arguments '(__jobwright_complete)'
"#;
