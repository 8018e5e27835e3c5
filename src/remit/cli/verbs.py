"""Which verbs there are."""

import typer

from remit.cli import (
    agent,
    approval,
    backup,
    break_glass,
    call,
    decision,
    demo,
    doctor,
    enrol,
    eval,
    init,
    issuer,
    kill,
    log,
    operator,
    output,
    people,
    ping,
    policy,
    serve,
    session,
    store,
    task,
    tool,
)


def register(app: typer.Typer) -> None:
    """Add every verb to the command line."""
    app.command("init")(init.init)
    app.command("demo")(demo.demo)
    app.command("eval")(eval.evaluate)
    app.command("kill")(kill.kill)
    app.command("release")(kill.release)
    app.command("doctor")(doctor.doctor)
    app.command("serve")(serve.serve)
    app.command("enrol")(enrol.enrol)
    app.command("ping")(ping.ping)
    app.command("call")(call.call)
    app.add_typer(policy.app, name="policy", help="Policy bundles: check, test, publish, roll back, explain.")
    app.add_typer(agent.app, name="agent", help="Agents: who acts, for which purpose, owned by whom.")
    app.add_typer(operator.app, name="operator", help="Operators: people and services that call a server.")
    app.add_typer(issuer.app, name="issuer", help="The own issuer: the key that Remit's tokens are signed with.")
    app.add_typer(people.app, name="people", help="People: who is who, who is gone, and who manages whom.")
    app.add_typer(task.app, name="task", help="Tasks: what an agent was entrusted to do, for whom, until when.")
    app.add_typer(session.app, name="session", help="Sessions: what the runs of a task have touched.")
    app.add_typer(decision.app, name="decision", help="Decisions: what was permitted or denied, and why.")
    app.add_typer(tool.app, name="tool", help="Tools that nobody pinned: which definition counts, and what else was reported.")
    app.add_typer(approval.app, name="approval", help="Approvals: what waits for a person.")
    app.add_typer(break_glass.app, name="break-glass", help="Break-glass: what two people open in an incident, against policy.")
    app.add_typer(store.app, name="store", help="The store: where it is, and its schema.")
    app.add_typer(backup.app, name="backup", help="Backups: make one while everything runs, check it, put it back.")
    app.add_typer(log.app, name="log", help="The decision log: export it, verify it anywhere, erase personal data.")
    for group in app.registered_groups:
        group.callback = output.begun
