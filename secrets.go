package callsheet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// ErrNoSecret is returned by a SecretResolver that knows no secret of this name.
var ErrNoSecret = errors.New("there is no such secret")

// redacted stands where a secret was, or may have been: in answers that repeat one, and in errors.
const redacted = "redacted"

// A SecretResolver knows the values of secrets, which Sources refer to by name ([Auth]).
//
// Secret may be called from many goroutines at once, for each call that is made: one that asks a remote vault
// should remember for a while. A name that is not known is ErrNoSecret, wrapped or not, and ends the execution with
// ClassAuth. Any other error is transient unless it is a [*ClassifiedError]; its text is logged
// and kept, and must not hold a secret.
type SecretResolver interface {
	Secret(ctx context.Context, name string) (string, error)
}

// SecretsFunc makes a SecretResolver of a function.
type SecretsFunc func(ctx context.Context, name string) (string, error)

// Secret calls f.
func (f SecretsFunc) Secret(ctx context.Context, name string) (string, error) { return f(ctx, name) }

// EnvSecrets knows secrets from environment variables: the prefix, then the name in capital letters with '_' for
// '.' and '-'. With the prefix "API_" the secret "github-token" is in API_GITHUB_TOKEN. Without
// a prefix whoever may edit Sources could send any variable anywhere.
func EnvSecrets(prefix string) SecretResolver {
	return SecretsFunc(func(_ context.Context, name string) (string, error) {
		variable := prefix + strings.NewReplacer(".", "_", "-", "_").Replace(strings.ToUpper(name))
		value := os.Getenv(variable)
		if value == "" {
			return "", fmt.Errorf("%w: the environment variable %s is empty or not set", ErrNoSecret, variable)
		}
		return value, nil
	})
}

// maxSecretBytes bounds a file of FileSecrets: keys are short, and a wrong file may not be.
const maxSecretBytes = 64 << 10

// FileSecrets knows secrets from the files of a folder, as Docker and Kubernetes mount them: the name is that of
// the file, the content without one line end after it the secret. Files are read when they are
// used, so that a secret can be replaced at any time. Nothing outside of the folder is read, also not by a link.
func FileSecrets(dir string) SecretResolver {
	return SecretsFunc(func(_ context.Context, name string) (string, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return "", fmt.Errorf("open the folder of secrets: %w", err)
		}
		defer root.Close()
		file, err := root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: no file in the folder of secrets has this name", ErrNoSecret)
		}
		if err != nil {
			return "", err
		}
		defer file.Close()
		content, err := io.ReadAll(io.LimitReader(file, maxSecretBytes+1))
		if err != nil {
			return "", err
		}
		if len(content) > maxSecretBytes {
			return "", &ClassifiedError{ClassPermanent, fmt.Errorf("the file has more than %d bytes", maxSecretBytes)}
		}
		value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
		if value == "" {
			return "", fmt.Errorf("%w: the file is empty", ErrNoSecret)
		}
		return value, nil
	})
}

// resolve returns the value of the secret that is named so.
func resolve(ctx context.Context, secrets SecretResolver, name string) (string, error) {
	if secrets == nil {
		return "", &ClassifiedError{ClassAuth, fmt.Errorf("secret %q: this node has no secrets; the host program gives them: WithSecrets", name)}
	}
	value, err := secrets.Secret(ctx, name)
	if err == nil && value == "" {
		err = ErrNoSecret
	}
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, ErrNoSecret):
		return "", &ClassifiedError{ClassAuth, fmt.Errorf("secret %q: %w", name, err)}
	}
	return "", fmt.Errorf("secret %q: %w", name, err)
}
