// Makes completion scripts for shells from a list of commands.
export interface Entry {
  name: string;
  summary: string;
  /** Fixed words that may follow. */
  words: string[];
  flags: string[];
  /** The next word is the name of a function, which the script asks the platform for. */
  takesFunction: boolean;
}
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function bash(entries: readonly Entry[]): string {
  const cases = entries.map(
    (entry) =>
      `    ${entry.name}) words=${quote(entry.words.join(" "))}; flags=${quote(entry.flags.join(" "))}${entry.takesFunction ? "; names=1" : ""} ;;`,
  );
  return `# fnctl completion for bash
_fnctl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words="" flags="" names=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ${quote(entries.map((entry) => entry.name).join(" "))} -- "$current")); return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *) if [ -n "$names" ] && [ "$COMP_CWORD" -eq 2 ]; then words="$(fnctl _names 2>/dev/null)"; fi
       COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}
complete -o default -F _fnctl fnctl
`;
}

function zsh(entries: readonly Entry[]): string {
  const commands = entries.map((entry) => `    ${quote(`${entry.name}:${entry.summary}`)}`);
  const cases = entries.map(
    (entry) =>
      `    ${entry.name}) words_=(${entry.words.join(" ")}); flags_=(${entry.flags.join(" ")})${entry.takesFunction ? "; names_=1" : ""} ;;`,
  );
  return `#compdef fnctl
# fnctl completion for zsh
_fnctl() {
  local -a commands words_ flags_
  local names_=""
  commands=(
${commands.join("\n")}
  )
  if (( CURRENT == 2 )); then _describe 'command' commands; return; fi
  case "$words[2]" in
${cases.join("\n")}
  esac
  if [[ "$PREFIX" == -* ]]; then compadd -- $flags_; return; fi
  if [[ -n "$names_" ]] && (( CURRENT == 3 )); then words_=(\${(f)"$(fnctl _names 2>/dev/null)"}); fi
  if (( \${#words_} )); then compadd -- $words_; else _files; fi
}
compdef _fnctl fnctl
`;
}

function fish(entries: readonly Entry[]): string {
  const lines = entries.flatMap((entry) => {
    const here = `complete -c fnctl -n ${quote(`__fish_seen_subcommand_from ${entry.name}`)}`;
    return [
      `complete -c fnctl -n __fish_use_subcommand -f -a ${entry.name} -d ${quote(entry.summary)}`,
      ...entry.flags.map((flag) => `${here} -l ${flag.slice(2)}`),
      ...(entry.words.length === 0 ? [] : [`${here} -f -a ${quote(entry.words.join(" "))}`]),
      ...(entry.takesFunction ? [`${here} -f -a '(fnctl _names 2>/dev/null)'`] : []),
    ];
  });
  return `# fnctl completion for fish\n${lines.join("\n")}\n`;
}

export const scripts = { bash, zsh, fish };
