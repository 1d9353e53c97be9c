// The critical path and the slack of the other tasks, in numbers.

import { useState } from "preact/hooks";
import { count, duration } from "../core/format";
import { taskLink } from "../core/route";
import type { CriticalPath } from "../core/wire";
import { StateMark } from "../parts/marks";
import { Section } from "../parts/notes";

const SHOWN_FIRST = 30;

export function PathTable({ path }: { path: CriticalPath }) {
  const [isWhole, setIsWhole] = useState(false);
  const rows = isWhole ? path.tasks : path.tasks.slice(0, Math.max(SHOWN_FIRST, 0));
  if (path.tasks.length === 0) return null;
  return (
    <Section
      title="Critical path and slack"
      aside={path.tasks.length > SHOWN_FIRST && (
        <button type="button" aria-expanded={isWhole} onClick={() => setIsWhole(!isWhole)}>
          {isWhole ? `Show the first ${SHOWN_FIRST}` : `Show all ${count(path.tasks.length)}`}
        </button>
      )}
    >
      <table class="plain path-table" data-testid="path">
        <thead>
          <tr><th>Path</th><th>State</th><th>Task</th><th class="right">Ran</th><th class="right">Left</th><th class="right">Slack</th></tr>
        </thead>
        <tbody>
          {rows.map((task) => (
            <tr key={task.id} class={task.is_on_path ? "is-on-path" : undefined}>
              <td class="cell-path">{task.is_on_path ? <span title="on the critical path">◆ path</span> : ""}</td>
              <td><StateMark state={task.state} /></td>
              <td class="cell-name"><a href={taskLink(task.id)} title={task.name}>{task.id} {task.name}</a></td>
              <td class="num right" data-label="ran">{duration(task.spent_ms)}</td>
              <td class="num right" data-label="left">{task.left_ms > 0 ? duration(task.left_ms) : "–"}</td>
              <td class="num right" data-label="slack">{task.is_on_path ? "0" : duration(task.slack_ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}
