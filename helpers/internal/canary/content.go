package canary

// Reading unstructured objects: what is not there is empty, since the API server
// has already checked each against its schema.

func items(content map[string]any, path ...string) []map[string]any {
	for _, name := range path[:len(path)-1] {
		content, _ = content[name].(map[string]any)
	}
	list, _ := content[path[len(path)-1]].([]any)
	var found []map[string]any
	for _, item := range list {
		each, _ := item.(map[string]any)
		found = append(found, each)
	}
	return found
}

func text(content map[string]any, name string) string {
	value, _ := content[name].(string)
	return value
}

func number(content map[string]any, name string, fallback int) int {
	switch value := content[name].(type) {
	case int64:
		return int(value)
	case float64:
		return int(value)
	}
	return fallback
}

func (r Route) version(service string) string {
	switch service {
	case "":
	case r.Stable:
		return "stable"
	case r.Canary:
		return "canary"
	}
	return ""
}
