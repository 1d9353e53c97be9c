// Links within the page; the names on them come from outside and are text.

import { jobLink, taskLink, workerLink } from "../core/route";

export function TaskLink({ id, name }: { id: string; name?: string }) {
  return <a href={taskLink(id)} title={name}>{name === undefined ? id : `${id} ${name}`}</a>;
}

export function JobLink({ id, name }: { id: string; name?: string }) {
  return <a href={jobLink(id)}>{name === undefined ? id : `${id} ${name}`}</a>;
}

export function WorkerLink({ id, name }: { id: string; name?: string }) {
  return <a href={workerLink(id)}>{name === undefined ? id : `${name} (${id})`}</a>;
}
