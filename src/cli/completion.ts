/**
 * Completion scripts for shells, made from the tree of commands.
 *
 * @module
 */
import type { Command, Option } from 'commander';

/** Shells that scripts are made for. */
export const shells = ['bash', 'zsh', 'fish'] as const;

/** A shell. */
export type Shell = (typeof shells)[number];

/** A command as completion sees it. */
interface Node {
  /** Words behind the program's name, joined by blanks; empty for the program itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly text: string }[];
  readonly options: readonly {
    readonly flags: readonly string[];
    readonly text: string;
    readonly takesValue: boolean;
    readonly choices: readonly string[];
  }[];
  /** Values of the first argument, where they are fixed. */
  readonly choices: readonly string[];
  /** Whether an argument, or the value of an option, is a file. */
  readonly files: boolean;
}

/** The script that makes `shell` complete the commands, options and fixed values of `program`. */
export function completionScript(program: Command, shell: Shell): string {
  const nodes = nodesOf(program, '');
  const name = program.name();
  return { bash, zsh, fish }[shell](name, nodes);
}

function nodesOf(command: Command, path: string): Node[] {
  const help = command.createHelp();
  const children = help.visibleCommands(command).filter((child) => child.name() !== 'help');
  const [first] = command.registeredArguments;
  const node: Node = {
    path,
    commands: children.map((child) => ({
      name: child.name(),
      text: firstLine(child.description()),
    })),
    options: help.visibleOptions(command).map((option) => optionOf(option)),
    choices: first?.argChoices ?? [],
    files: command.registeredArguments.some((argument) => argument.name() === 'module'),
  };
  return [
    node,
    ...children.flatMap((child) =>
      nodesOf(child, path === '' ? child.name() : `${path} ${child.name()}`),
    ),
  ];
}

function optionOf(option: Option): Node['options'][number] {
  return {
    flags: [option.short, option.long].filter((flag) => flag !== undefined),
    text: firstLine(option.description),
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
  };
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

/** Text in single quotes, for any of the shells but fish. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** The shell's own walk over the words before the cursor, down the tree. */
function walk(nodes: readonly Node[]): string {
  const steps = nodes
    .filter(({ path }) => path !== '')
    .map(({ path }) => {
      const cut = path.lastIndexOf(' ');
      const above = cut < 0 ? '' : path.slice(0, cut);
      return `      ${quote(`${above}|${path.slice(cut + 1)}`)}) at=${quote(path)} ;;`;
    });
  return ['    case "$at|$word" in', ...steps, '    esac'].join('\n');
}

function bash(name: string, nodes: readonly Node[]): string {
  const cases = nodes.map(({ path, commands, options, choices, files }) => {
    const words = [
      ...commands.map((command) => command.name),
      ...options.flatMap(({ flags }) => flags),
      ...choices,
    ];
    const lines = [`    ${quote(path)})`];
    for (const { flags, takesValue, choices: values } of options) {
      if (!takesValue) continue;
      lines.push(
        `      case "$previous" in ${flags.join('|')}) ${
          values.length > 0
            ? `COMPREPLY=($(compgen -W ${quote(values.join(' '))} -- "$current")); return`
            : 'COMPREPLY=($(compgen -f -- "$current")); return'
        } ;; esac`,
      );
    }
    lines.push(`      COMPREPLY=($(compgen -W ${quote(words.join(' '))} -- "$current"))`);
    if (files) lines.push('      COMPREPLY+=($(compgen -f -- "$current"))');
    lines.push('      ;;');
    return lines.join('\n');
  });
  return `# bash completion of ${name}; put \`source <(${name} completion bash)\` into ~/.bashrc
_${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" at='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
${walk(nodes)}
  done
  COMPREPLY=()
  case "$at" in
${cases.join('\n')}
  esac
}
complete -o filenames -F _${name} ${name}
`;
}

/** A word with its description, as `_describe` takes it. */
function described(word: string, text: string): string {
  return quote(`${word.replaceAll(':', String.raw`\:`)}:${text.replaceAll(':', String.raw`\:`)}`);
}

function zsh(name: string, nodes: readonly Node[]): string {
  const cases = nodes.map(({ path, commands, options, choices, files }) => {
    const lines = [`    ${quote(path)})`];
    for (const { flags, takesValue, choices: values } of options) {
      if (!takesValue) continue;
      lines.push(
        `      case "$previous" in ${flags.join('|')}) ${
          values.length > 0 ? `compadd -- ${values.join(' ')}` : '_files'
        }; return ;; esac`,
      );
    }
    if (commands.length > 0)
      lines.push(
        `      words_of=(${commands.map((command) => described(command.name, command.text)).join(' ')})`,
        `      _describe -t commands command words_of`,
      );
    if (options.length > 0)
      lines.push(
        `      words_of=(${options.flatMap(({ flags, text }) => flags.map((flag) => described(flag, text))).join(' ')})`,
        `      _describe -o -t options option words_of`,
      );
    if (choices.length > 0) lines.push(`      compadd -- ${choices.join(' ')}`);
    if (files) lines.push('      _files');
    lines.push('      ;;');
    return lines.join('\n');
  });
  return `#compdef ${name}
# zsh completion of ${name}; put \`source <(${name} completion zsh)\` into ~/.zshrc
_${name}() {
  local previous="\${words[CURRENT-1]}" at='' word
  local -a words_of
  for word in "\${(@)words[2,CURRENT-1]}"; do
${walk(nodes)}
  done
  case "$at" in
${cases.join('\n')}
  esac
}
compdef _${name} ${name}
`;
}

function fish(name: string, nodes: readonly Node[]): string {
  const lines: string[] = [];
  for (const { path, commands, options, choices, files } of nodes) {
    const seen = path.split(' ').filter((word) => word !== '');
    const conditions = seen.map((word) => `__fish_seen_subcommand_from ${word}`);
    if (commands.length > 0)
      conditions.push(
        `not __fish_seen_subcommand_from ${commands.map((command) => command.name).join(' ')}`,
      );
    const start = `complete -c ${name}${conditions.length === 0 ? '' : ` -n ${fishQuote(conditions.join('; and '))}`}`;
    for (const command of commands)
      lines.push(`${start} -f -a ${command.name} -d ${fishQuote(command.text)}`);
    if (choices.length > 0) lines.push(`${start} -f -a ${fishQuote(choices.join(' '))}`);
    if (files) lines.push(`${start} -F`);
    for (const { flags, text, takesValue, choices: values } of options) {
      const named = flags.map((flag) =>
        flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
      );
      const value = takesValue
        ? values.length > 0
          ? ` -x -a ${fishQuote(values.join(' '))}`
          : ' -r'
        : '';
      lines.push(`${start} ${named.join(' ')}${value} -d ${fishQuote(text)}`);
    }
  }
  return `# fish completion of ${name}; put \`${name} completion fish | source\` into ~/.config/fish/config.fish
${lines.join('\n')}
`;
}

function fishQuote(text: string): string {
  return `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
}
