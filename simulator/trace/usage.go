package trace

var columnsUsage = []string{"admitted", "namespace", "function"}
