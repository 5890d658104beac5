package curl

// Split returns the words of a command.
func Split(command string) ([]string, error) { return split(command) }
