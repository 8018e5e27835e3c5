# The policies of tests/cases in Rego: every case must be decided as in Cedar.
package remit

import rego.v1

with_task if input.context.task

staff if "staff" in input.subject.ancestors.Group

bookkeeper if "bookkeepers" in input.subject.ancestors.Group

calls(tool) if {
	input.action.name == "tool.call"
	input.resource.id == tool
}

of_group(group) if {
	input.action.name == "tool.call"
	group in input.resource.ancestors.ToolGroup
}

file_action if "file" in input.action.ancestors

permit contains {"id": "time-is-free"} if calls("get_time")

permit contains {"id": "public-files-are-free"} if {
	input.action.name == "file.read"
	"/public" in input.resource.ancestors.Folder
}

permit contains {
	"id": "staff-mail",
	"description": "staff agents read and send mail",
	"obligation": "limit-result:4096; notify:mail",
} if {
	staff
	of_group("mail")
	with_task
}

permit contains {"id": "staff-files"} if {
	staff
	file_action
	"/desk" in input.resource.ancestors.Folder
	with_task
}

permit contains {"id": "corp-hosts"} if {
	input.action.name == "net.request"
	"corp.example" in input.resource.ancestors.Domain
	with_task
	input.context.args.method == "GET"
}

permit contains {"id": "bookkeepers-pay", "obligation": "redact-result:iban; deadline:30"} if {
	bookkeeper
	of_group("money")
	"bookkeepers" in input.context.task.onBehalfOf.ancestors.Group
}

permit contains {"id": "clerk-reads-salaries"} if {
	input.subject.id == "payroll-clerk"
	calls("read_salaries")
	with_task
}

permit contains {"id": "bookkeepers-use-the-books"} if {
	bookkeeper
	of_group("books")
	with_task
}

permit contains {"id": "old-system"} if {
	staff
	calls("look_up")
	with_task
}

permit contains {
	"id": "keepers-ledgers",
	"description": "whoever keeps a ledger may have it read and posted to",
} if {
	input.action.name in {"ledger.read", "ledger.post"}
	ledger_of_all
	input.context.task.onBehalfOf.id == input.resource.properties.keeper.id
}

ledger_of_all if input.resource.id == "all"

ledger_of_all if "all" in input.resource.ancestors.Ledger

permit contains {"id": "delegating"} if {
	staff
	input.action.name == "agent.delegate"
	input.context.task.depth < 2
	input.resource.properties.status == "active"
}

permit contains {"id": "small-models"} if {
	input.action.name == "model.invoke"
	input.resource.id == "small"
	with_task
}

forbid contains {
	"id": "steered",
	"description": "untrusted data chose where this goes",
	"requestable": "one",
} if {
	input.action.name == "tool.call"
	input.resource.properties.effect != "read"
	count(input.context.flow.steered) > 0
	not input.context.approval.granted
}

forbid contains {
	"id": "large-payments",
	"description": "more than 1000 at once takes two people",
	"requestable": "four-eyes",
} if {
	calls("pay")
	input.context.args.amount > 1000
	not input.context.approval.granted
}

forbid contains {"id": "huge-payments", "description": "nobody pays more than 100000 at once"} if {
	calls("pay")
	input.context.args.amount > 100000
}

forbid contains {"id": "look-before-paying", "description": "pay only after a look at the ledger"} if {
	calls("pay")
	not "read_ledger" in input.context.session.used
}

forbid contains {"id": "internal-copies", "description": "copies go to our own people"} if {
	calls("send_mail")
	some copy in input.context.args.cc
	not copy in {"books@corp.example", "chief@corp.example"}
}

forbid contains {"id": "salaries-stay", "description": "who has seen salaries sends nothing"} if {
	input.context.session.confidentialityRank >= 3
	input.context.tierRank >= 2
}

forbid contains {"id": "closed-ledgers", "description": "a closed ledger is not posted to"} if {
	input.action.name == "ledger.post"
	input.resource.properties.closed
}

forbid contains {"id": "enough-refused", "description": "three denials in one session are enough"} if {
	input.context.session.denials >= 3
}

forbid contains {"id": "trial-ends", "description": "interns' agents work until February 2026"} if {
	"interns" in input.subject.ancestors.Group
	input.context.now >= "2026-02-01"
}

approved_by_another if {
	input.context.approval.granted
	input.context.approval.approver != "ian"
}

forbid contains {
	"id": "critical",
	"description": "granting access takes two people",
	"requestable": "four-eyes",
} if {
	input.action.name == "tool.call"
	input.context.tier == "critical"
	not approved_by_another
}

forbid contains {"id": "no-hidden-files", "description": "hidden files are nobody's business"} if {
	file_action
	contains(input.context.args.path, "/.")
}
