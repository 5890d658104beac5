package curl

import (
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// maxCommand bounds a command that is read, in bytes.
const maxCommand = 1 << 20

// split returns the words of a command as bash would hand them to it. Whatever bash would do besides is refused.
func split(command string) ([]string, error) {
	if len(command) > maxCommand {
		return nil, fmt.Errorf("the command is longer than %d bytes", maxCommand)
	}
	// Copied from a page, lines may end as they do in Windows.
	command = strings.ReplaceAll(command, "\r\n", "\n")
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil {
		return nil, fmt.Errorf("the command cannot be read: %w", err)
	}
	if len(file.Stmts) != 1 {
		return nil, errors.New("there must be one command")
	}
	statement := file.Stmts[0]
	call, ok := statement.Cmd.(*syntax.CallExpr)
	if !ok || len(statement.Redirs) > 0 || len(call.Assigns) > 0 || statement.Background || statement.Negated || statement.Coprocess || statement.Disown {
		return nil, errors.New("there must be one plain command, without pipes, redirections and variables; a URL with & stands in quotes")
	}
	words := make([]string, len(call.Args))
	for i, word := range call.Args {
		if err := onlyText(word); err != nil {
			return nil, err
		}
		if words[i], err = textOf(word); err != nil {
			return nil, fmt.Errorf("the command cannot be read: %w", err)
		}
	}
	return words, nil
}

// onlyText refuses a word of which a shell would have to make something else first.
func onlyText(word *syntax.Word) (err error) {
	syntax.Walk(word, func(node syntax.Node) bool {
		switch node := node.(type) {
		case nil, *syntax.Word, *syntax.Lit, *syntax.SglQuoted:
		case *syntax.DblQuoted:
			if node.Dollar {
				err = errors.New(`$"…" is not text alone: give the text itself`)
			}
		default:
			err = fmt.Errorf("at %s a shell would put something in: give the text itself, in single quotes", node.Pos())
		}
		return err == nil
	})
	return err
}

// textOf returns what a word of text stands for. Braces, tildes and patterns without quotes stay as they are.
func textOf(word *syntax.Word) (string, error) {
	var text strings.Builder
	for _, part := range word.Parts {
		if lit, ok := part.(*syntax.Lit); ok {
			text.WriteString(unescaped(lit.Value))
			continue
		}
		quoted, err := expand.Literal(nil, &syntax.Word{Parts: []syntax.WordPart{part}})
		if err != nil {
			return "", err
		}
		text.WriteString(quoted)
	}
	return text.String(), nil
}

// unescaped takes the backslashes off text that stands outside of quotes.
func unescaped(s string) string {
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) || s[i] == '\n' {
				continue
			}
		}
		text.WriteByte(s[i])
	}
	return text.String()
}
